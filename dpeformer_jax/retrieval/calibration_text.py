"""A calibration as text for a terminal of 100 columns."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDTH = 100
THRESHOLD = (11, 8, 23, 8, 26, 24)  # columns
KIND = (11, 10, 8, 14, 14, 10)
LEGEND = (
    "Two pictures show the same person where their squared distance (features at length 1; cosine "
    "similarity = 1 - distance / 2) is at most the threshold. FAR, the false-accept rate: share of "
    "pairs of two people that are accepted. TAR, the true-accept rate: share of pairs of one "
    "person; where it is not far above the FAR, the network does not tell these people apart. In "
    "brackets: 95 % intervals; of FAR and TAR for another group of as many new people, of the same "
    "kind of pictures."
)
OCCLUDED = (
    "What the same thresholds accept when one picture of a pair (mixed) or both (occluded) are "
    "occluded, and the threshold that would give the FAR back:"
)


def as_text(calibration: Mapping[str, Any]) -> str:
    """Formats a calibration."""
    features = calibration["features"]
    columns = ("", "for FAR", "threshold", "cosine", "FAR % of new people", "TAR %")
    reasons = [of["reason"] for told in features.values() for of in told["thresholds"]]
    lines = [
        f"thresholds from {calibration['told']}",
        _row(columns, THRESHOLD),
        *(line for name, of in features.items() for line in _thresholds(name, of["thresholds"])),
        *(f"none: {reason}" for reason in dict.fromkeys(reasons) if reason),
        "",
        textwrap.fill(LEGEND, WIDTH),
        "",
        textwrap.fill(OCCLUDED, WIDTH),
        _row(("", "pairs", "for FAR", "FAR %", "TAR %", "threshold"), KIND),
        *(line for name, of in features.items() for line in _kinds(name, of)),
    ]
    return "\n".join(lines)


def _thresholds(name: str, thresholds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for of in thresholds:
        if of["distance"] is None:
            yield _row((name, f"{100 * of['far']:g} %", "none"), THRESHOLD)
        else:
            cells = (
                f"{of['distance']:.3f}{_ends(of['distance_interval'], 1, 3)}",
                f"{of['cosine']:.3f}",
                f"{100 * of['far']:g}{_ends(of['far_as_many'], 100)}",
                f"{100 * of['tar']:.1f}{_ends(of['tar_as_many'], 100, 1)}",
            )
            yield _row((name, f"{100 * of['far']:g} %", *cells), THRESHOLD)
        name = ""  # stands before the first rate alone


def _kinds(name: str, told: Mapping[str, Any]) -> Iterator[str]:
    for kind, pairs in told["pairs"].items():
        for of, at in zip(told["thresholds"], pairs["at_thresholds"], strict=True):
            if of["distance"] is None:
                continue
            needed = "none" if at["needed"] is None else f"{at['needed']:.3f}"
            rates = f"{100 * at['far']:.3g}", f"{100 * at['tar']:.1f}"
            yield _row((name, kind, f"{100 * of['far']:g} %", *rates, needed), KIND)
            name = ""


def _ends(ends: Sequence[float] | None, factor: float, decimals: int | None = None) -> str:
    """Formats an interval; "" where there is none."""
    if ends is None:
        return ""
    low, high = (
        f"{factor * end:.2g}" if decimals is None else f"{factor * end:.{decimals}f}"
        for end in ends
    )
    return f" [{low}, {high}]"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=False)).rstrip()
