"""What is looked at while a training goes on. It chooses no checkpoint and changes no step."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Watched(NamedTuple):
    """scores: numbers by name; pictures: PNG files by name."""

    scores: dict[str, float]
    pictures: dict[str, bytes]


class Watch(NamedTuple):
    """every: epochs; look: fn(variables, step), which all processes call alike."""

    every: int
    look: Callable[[Any, int], Watched]
