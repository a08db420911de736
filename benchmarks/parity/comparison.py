"""How one of our arrays is held against a golden one."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.released import golden


class Quantity(NamedTuple):
    """One row of the table.

    difference: the largest over all elements of all arrays; tolerance: what it may be.
    measure: of an element's difference.
    keys: the golden arrays that were compared, as file/array.
    """

    name: str
    tolerance: float
    difference: float
    measure: str
    keys: tuple[str, ...]

    @property
    def within(self) -> bool:
        """Whether it is equal as far as it must be; not if it is no number."""
        return self.difference <= self.tolerance


def absolute(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.abs(ours - theirs)


def relative(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.abs(ours - theirs) / np.abs(theirs)


def unequal(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return ours != theirs


Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Rows(list[Quantity]):
    """The rows that one golden file gives; it may be a part of the file."""

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
        """A row of those golden arrays that are there, and none if none is.

        Args:
            name: of the quantity.
            tolerance: as the golden README recommends.
            ours: our array by the golden one's name.
            measure: of the difference.
            only: index of what is compared.
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
