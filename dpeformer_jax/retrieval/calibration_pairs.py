"""Distances of genuine and impostor pairs among labelled pictures, streamed.

A genuine pair shows one person, an impostor pair two. Of the impostor pairs the nearest are kept
and all are counted, so that no array has a row and a column for every picture.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dpeformer_jax.base.progress import progress
from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import Targets

ROWS_AT_ONCE = 256  # so that a block of 20,000 pictures takes some 0.1 GB
LARGEST = 4.0  # squared distance of opposite features of length 1
BINS = 4000


class People(NamedTuple):
    """Who M pictures show.

    places: [M] of each picture's identity, 0..I-1; cameras: [M], or None where none are known.
    """

    places: np.ndarray
    cameras: np.ndarray | None

    @classmethod
    def of(cls, identities: np.ndarray, cameras: np.ndarray | None) -> "People":
        """Numbers identities [M]."""
        return cls(np.unique(identities, return_inverse=True)[1], cameras)

    @property
    def images(self) -> np.ndarray:
        """[I] number of pictures of each identity."""
        return np.bincount(self.places)


class Pairs(NamedTuple):
    """Squared distances of one feature, float32; people are given by their places.

    genuine: [P], ascending; genuine_of: [P] whose they are; nearest: [K] the smallest of the
    impostor pairs, ascending; nearest_of: [K, 2] who they are of; impostors: number of all impostor
    pairs; accepted: [R] how many of them have at most the distances that were asked for;
    histogram: [BINS] of all of them from 0 to LARGEST.
    """

    genuine: np.ndarray
    genuine_of: np.ndarray
    nearest: np.ndarray
    nearest_of: np.ndarray
    impostors: int
    accepted: np.ndarray
    histogram: np.ndarray


def measure(
    first: Features,
    second: Features | None,
    people: People,
    targets: Targets,
    keep: float,
    thresholds: dict[str, np.ndarray],
    title: str = "",
) -> dict[str, Pairs]:
    """Returns the pairs of each target.

    A genuine pair is of two cameras, where cameras are known. Distances are computed in float32,
    to about 1e-6. Memory: a block, 12 bytes a genuine pair, and at most 24 bytes an impostor pair
    that is kept.

    Args:
        first, second: [M, F] by name at length 1, of the same M pictures in two versions. A pair
            has one picture of each, never the same. None: all pairs of `first`, each once.
        targets: name -> features whose distances are averaged.
        keep: share of the impostor pairs, the nearest ones, that are kept.
        thresholds: [R] of each target, to count accepted impostor pairs at.
        title: of the progress bar.
    """
    images = people.images
    impostors = int((images.sum() ** 2 - (images**2).sum()) // (2 if second is None else 1))
    gathered = {
        name: _Gathered(int(np.ceil(keep * impostors)), thresholds[name]) for name in targets
    }
    for distances, rows, columns in _blocks(first, second, len(people.places), title):
        genuine, impostor = _kinds(people, rows, columns, second is None)
        for name, members in targets.items():
            found = sum(distances[member] for member in members) / np.float32(len(members))
            gathered[name].add(found, genuine, impostor, people.places, rows, columns)
    return {name: of.pairs(impostors) for name, of in gathered.items()}


def _blocks(
    first: Features, second: Features | None, total: int, title: str
) -> Iterator[tuple[Features, np.ndarray, np.ndarray]]:
    """Yields (distances [r, c] by name, places [r] of their rows, [c] of their columns)."""
    other = first if second is None else second
    for start in progress(range(0, total, ROWS_AT_ONCE), title=title, unit="block"):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, total))
        columns = np.arange(start if second is None else 0, total)
        distances = {
            name: np.maximum(2 - 2 * (x[rows[0] : rows[-1] + 1] @ other[name][columns[0] :].T), 0)
            for name, x in first.items()
        }
        yield distances, rows, columns


def _kinds(
    people: People, rows: np.ndarray, columns: np.ndarray, once: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places in a raveled block of its genuine and of its impostor pairs."""
    counted = columns > rows[:, None] if once else columns != rows[:, None]
    same = people.places[rows, None] == people.places[columns]
    genuine = counted & same
    if people.cameras is not None:
        genuine &= people.cameras[rows, None] != people.cameras[columns]
    return np.flatnonzero(genuine), np.flatnonzero(counted & ~same)


class _Gathered:
    """What is kept of the pairs of one target; most: number of impostor pairs."""

    def __init__(self, most: int, thresholds: np.ndarray):
        self._most, self._thresholds = max(most, 1), thresholds
        self._cutoff = np.float32(np.inf)
        self._genuine: list[tuple[np.ndarray, np.ndarray]] = []
        self._near: list[tuple[np.ndarray, np.ndarray]] = []
        self._accepted = np.zeros(len(thresholds), np.int64)
        self._histogram = np.zeros(BINS, np.int64)

    def add(
        self,
        distances: np.ndarray,
        genuine: np.ndarray,
        impostor: np.ndarray,
        places: np.ndarray,
        rows: np.ndarray,
        columns: np.ndarray,
    ) -> None:
        """Takes a block [r, c] of distances."""
        flat = distances.ravel()
        self._genuine.append((flat[genuine], places[rows[genuine // len(columns)]]))
        found = flat[impostor]
        under = [np.count_nonzero(found <= t) for t in self._thresholds]
        self._accepted += np.array(under, np.int64)
        bins = np.minimum((found * (BINS / LARGEST)).astype(np.int32), BINS - 1)
        self._histogram += np.bincount(bins, minlength=BINS)
        near = impostor[found <= self._cutoff]
        row, column = np.divmod(near, len(columns))
        pair = np.stack([places[rows[row]], places[columns[column]]], axis=1)
        self._near.append((flat[near], pair.astype(np.int32)))
        if sum(len(kept) for kept, _ in self._near) > 2 * self._most:
            self._shrink()

    def pairs(self, impostors: int) -> Pairs:
        """Returns what was taken."""
        self._shrink()
        ((nearest, nearest_of),) = self._near
        order = np.argsort(nearest, kind="stable")
        genuine, genuine_of = map(np.concatenate, zip(*self._genuine, strict=True))
        up = np.argsort(genuine, kind="stable")
        own = genuine[up], genuine_of[up]
        near = nearest[order], nearest_of[order]
        return Pairs(*own, *near, impostors, self._accepted, self._histogram)

    def _shrink(self) -> None:
        distances, pairs = map(np.concatenate, zip(*self._near, strict=True))
        if len(distances) > self._most:
            kept = np.argpartition(distances, self._most - 1)[: self._most]
            distances, pairs = distances[kept], pairs[kept]
            self._cutoff = distances.max()
        self._near = [(distances, pairs)]
