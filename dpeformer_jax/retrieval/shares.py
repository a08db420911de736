"""A gallery of which each process holds a share.

Every process has all queries, and what the pictures are labelled with. The features of a gallery
picture are in one process alone.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from dpeformer_jax.features import Features


class Share(NamedTuple):
    """features: [m, F] by name; places: [m] of its pictures in the whole gallery, ascending."""

    features: Features
    places: np.ndarray

    @classmethod
    def of_all(cls, features: Features) -> "Share":
        """Returns the share of the only process."""
        return cls(features, np.arange(len(next(iter(features.values())))))

    def find(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the row here of each place [P], and whether it is here at all: [P] bool."""
        if not len(self.places):
            return np.zeros(len(places), int), np.zeros(len(places), bool)
        rows = np.searchsorted(self.places, places).clip(max=len(self.places) - 1)
        return rows, self.places[rows] == places

    def only(self, places: np.ndarray) -> "Share":
        """Returns what the share has of some pictures of the gallery."""
        kept = np.isin(self.places, places)
        return Share({n: x[kept] for n, x in self.features.items()}, self.places[kept])

    def without(self, places: np.ndarray) -> "Share":
        """Returns what the share has of all other pictures of the gallery."""
        return self if not len(places) else self.only(np.setdiff1d(self.places, places))

    def of(self, names: Iterable[str]) -> "Share":
        """Returns the share with some of its features."""
        return Share({name: self.features[name] for name in names}, self.places)

    def joined(self) -> "Share":
        """Returns the shares of all processes as one, in every process."""
        if jax.process_count() == 1:
            return self
        held = gathered(np.array(len(self.places)))
        padding = held.max() - len(self.places)
        places = gathered(np.pad(self.places, (0, padding)))
        real = np.arange(held.max()) < held[:, None]
        order = np.argsort(places[real])
        features = {
            name: gathered(np.pad(x, ((0, padding), (0, 0))))[real][order]
            for name, x in self.features.items()
        }
        return Share(features, places[real][order])


def gathered(x: np.ndarray) -> np.ndarray:
    """Returns the arrays of all processes, [P, ...]; each must call it with the same shape.

    JAX would round float64 and int64, so that it moves bytes.
    """
    if jax.process_count() == 1:
        return x[None]
    data = np.ascontiguousarray(x).view(np.uint8).reshape(x.shape + (x.itemsize,))
    return multihost_utils.process_allgather(data).view(x.dtype)[..., 0]


def summed(x: np.ndarray) -> np.ndarray:
    """Returns the sum of the arrays of all processes."""
    return gathered(x).sum(axis=0, dtype=x.dtype)
