"""The scores of eval.json as the rows of a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from dpeformer_jax.report.content import Cell, ScoreRow

# Key of eval.json, heading.
COLUMNS = {
    "mAP": "mAP",
    "mINP": "mINP",
    "rank1": "rank-1",
    "rank5": "rank-5",
    "rank10": "rank-10",
    "rank20": "rank-20",
    "tar@1e-3": "TAR at FAR 0.1 %",
}


def score_rows(run: str, told: Mapping[str, Any]) -> Iterator[ScoreRow]:
    """Yields a row for each feature of a data set; told: what eval.json says of the set."""
    for feature, scores in told.items():
        if isinstance(scores, Mapping) and "mAP" in scores:
            yield ScoreRow(run, feature, [_cell(scores, key) for key in COLUMNS])


def percent(share: float | None) -> str:
    """Returns a share of 1 in percent with one digit, as the command line prints it."""
    return "–" if share is None else f"{100 * share:.1f}"


def _cell(scores: Mapping[str, Any], key: str) -> Cell:
    ends = scores.get(f"{key}_interval")
    told = "" if not ends else f"{percent(ends[0])} to {percent(ends[1])}"
    return Cell(percent(scores.get(key)), told)
