"""Measures how far our arrays are from golden ones."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tests.parity.released import golden


class Quantity(NamedTuple):
    """One row of a table.

    tolerance: the largest difference allowed.
    difference: the largest over all elements of all arrays.
    measure: name of the function that gives an element's difference.
    keys: the golden arrays that were compared, as file/array.
    """

    name: str
    tolerance: float
    difference: float
    measure: str
    keys: tuple[str, ...]

    @property
    def within(self) -> bool:
        """Whether the difference is within the tolerance; NaN is not."""
        return self.difference <= self.tolerance


def absolute(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.abs(ours - theirs)


def relative(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.abs(ours - theirs) / np.abs(theirs)


def unequal(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return ours != theirs


Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Rows(list[Quantity]):
    """The rows of one golden file, of which the arrays `values` are present."""

    def __init__(self, file: str):
        super().__init__()
        self.file = file
        self.values = golden(file)

    def add(
        self,
        name: str,
        tolerance: float,
        ours: Mapping[str, Any],
        measure: Measure = absolute,
        only: Any = ...,
    ) -> None:
        """Adds a row that compares the golden arrays that are present; none if none is present.

        Args:
            name: of the quantity.
            tolerance: as the README of the golden files recommends.
            ours: our array by the golden one's name.
            measure: gives the difference of each element.
            only: index of the compared elements.
        """
        present = [key for key in ours if key in self.values]
        if not present:
            return
        differences = []
        for key in present:
            mine, theirs = np.asarray(ours[key]), self.values[key]
            if mine.shape != theirs.shape:
                raise ValueError(f"{self.file}, {key}: {theirs.shape}, ours is {mine.shape}")
            differences.append(np.max(measure(_wide(mine)[only], _wide(theirs)[only])))
        keys = tuple(f"{self.file.removesuffix('.npz')}/{key}" for key in present)
        self.append(Quantity(name, tolerance, float(max(differences)), measure.__name__, keys))


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64) if x.dtype.kind in "fiu" else x
