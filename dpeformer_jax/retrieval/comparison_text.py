"""A comparison of two workdirs as text for a terminal of 100 columns."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from dpeformer_jax.retrieval.confidence import FEWEST

WIDTH = 100
SETTING = (40, 30, 30)  # columns of: name, value in A, value in B
SCORE = (20, 8, 23, 23, 26)  # columns of: feature, measure, A, B, difference
LABELS = {"mAP": "mAP", "rank1": "rank-1"}
LEGEND = (
    f"Percent [95 % confidence interval over the test identities; none below {FEWEST}]. "
    "*: it excludes 0."
)
CAUTION = (
    "The intervals cover the choice of test identities, not the seed of training: train both with "
    "several seeds before you prefer one."
)


def as_text(comparison: Mapping[str, Any]) -> str:
    """Formats what `compare` returns."""
    sections = [
        (_run(side, comparison[side]) for side in "AB"),
        _settings(comparison["settings"]),
        *(_scores(name, told) for name, told in comparison["datasets"].items()),
        [LEGEND],
        map(_note, comparison["notes"]),
        [textwrap.fill(CAUTION, WIDTH)],
    ]
    texts = ["\n".join(lines) for lines in sections]
    return "\n\n".join(text for text in texts if text)


def _run(side: str, told: Mapping[str, Any]) -> str:
    step = "" if told["step"] is None else f", step {told['step']:,}"  # converted weights have none
    return f"{side}  {told['workdir']}{step}"


def _settings(settings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if settings:
        yield _row(("setting", "A", "B"), SETTING)
    for told in settings:
        yield _row((told["name"], repr(told["A"]), repr(told["B"])), SETTING)


def _note(note: str) -> str:
    return textwrap.fill(note, WIDTH, initial_indent="note: ", subsequent_indent="      ")


def _scores(name: str, told: Mapping[str, Any]) -> Iterator[str]:
    of_a, of_b = (f"{count:,}" for count in told["queries"].values())
    yield f"{name}: {of_a if of_a == of_b else f'{of_a} (A) and {of_b} (B)'} queries"
    yield _row(("", "", "    A", "    B", "B - A"), SCORE)
    for feature, measures in told["features"].items():
        for measure, compared in measures.items():
            cells = _cell(compared["A"]), _cell(compared["B"]), _difference(compared["B - A"])
            yield _row((feature, LABELS[measure], *cells), SCORE)
            feature = ""  # stands before the first measure alone


def _cell(told: Mapping[str, Any], sign: str = "") -> str:
    width = 5 + len(sign)
    ends = told["interval"]
    score = f"{100 * told['score']:{sign}{width}.1f}"
    if ends is None:
        return score
    low, high = (f"{100 * end:{sign}{width - 1}.1f}" for end in ends)
    return f"{score} [{low}, {high}]"


def _difference(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return ""
    ends = told["interval"]
    marked = ends is not None and not ends[0] <= 0 <= ends[1]
    return _cell(told, "+") + (" *" if marked else "")


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Sets cells in columns; a long one goes on in the next line."""
    wrapped = [
        textwrap.wrap(cell, width - 1, drop_whitespace=False) or [""]
        for cell, width in zip(cells, widths, strict=True)
    ]
    lines = zip_longest(*wrapped, fillvalue="")
    return "\n".join(
        "".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
