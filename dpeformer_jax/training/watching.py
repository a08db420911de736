"""What is looked at while a training goes on. It chooses no checkpoint and changes no step."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from PIL import Image


class Watched(NamedTuple):
    """scores: numbers by name; pictures: by name."""

    scores: dict[str, float]
    pictures: dict[str, Image.Image]


class Watch(NamedTuple):
    """every: epochs; look: fn(variables, step), which all processes call alike."""

    every: int
    look: Callable[[Any, int], Watched]


def scores_of(report: Mapping[str, Any]) -> dict[str, float]:
    """Returns the scores of a report by name: scores/DATA SET/FEATURE/mAP and so on."""
    return {
        f"scores/{data_set}/{feature}/{name}": value
        for data_set, told in report["datasets"].items()
        for feature, scores in told.items()
        if isinstance(scores, Mapping)
        for name, value in scores.items()
        if isinstance(value, int | float)
    }
