"""Features of people who do not exist, with the size of a data set and distances like real ones."""

import dataclasses
from typing import NamedTuple

import numpy as np

from benchmarks.whole_matrix import People

CAMERAS = 6
DISTRACTORS = 2798 / 15913  # of Market-1501's gallery: nobody in the queries, identity 0
ROWS_AT_ONCE = 1024  # so that drawing takes little memory besides the features
FACTORS = 64  # what people differ in; fewer than a feature has numbers, so distances differ widely
SPREAD, OF_CAMERA, NOISE, COMMON = 1.0, 0.5, 0.3, 1.0  # compared with 1 between people


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is scored.

    queries, gallery: images, the gallery without the `distractors` that join it; width: numbers a
    feature; identities: people in both; storage: the gallery's dtype.
    """

    queries: int
    gallery: int
    width: int
    identities: int
    distractors: int
    storage: str

    def __post_init__(self):
        """Raises ValueError where the gallery has not two images of each identity, for matches."""
        if self.gallery - self.others < 2 * self.identities:
            raise ValueError(
                f"a gallery of {self.gallery} images is too small for {self.identities} identities"
            )

    @property
    def others(self) -> int:
        """Images of the gallery, among `gallery`, that show nobody of the identities."""
        return round(self.gallery * DISTRACTORS)

    @property
    def pairs(self) -> int:
        """Images of the queries times images of the gallery."""
        return self.queries * (self.gallery + self.distractors)


class Drawn(NamedTuple):
    """query, gallery: features [M, F] at length 1; of_query, of_gallery: who they are of."""

    query: np.ndarray
    gallery: np.ndarray
    of_query: People
    of_gallery: People


def draw(size: Size) -> Drawn:
    """Draws query and gallery, the same ones in every process."""
    rng = np.random.default_rng(0)
    of_query = _people(size.queries, size.identities)
    known = _people(size.gallery - size.others, size.identities)
    unknown = _people(size.others + size.distractors, 1)
    unknown = unknown._replace(identities=np.zeros_like(unknown.identities))
    order = rng.permutation(size.gallery + size.distractors)
    of_gallery = People(*(np.concatenate(x)[order] for x in zip(known, unknown, strict=True)))
    factors = _Factors(rng, size)
    query = factors.features(of_query, "float32")
    return Drawn(query, factors.features(of_gallery, size.storage), of_query, of_gallery)


def _people(images: int, identities: int) -> People:
    """Deals images to the identities 1 to `identities`, those of each to the cameras in turn."""
    turn, identity = np.divmod(np.arange(images), identities)
    return People(1 + identity, 1 + turn % CAMERAS)


class _Factors:
    """What the features of all people are made of."""

    def __init__(self, rng: np.random.Generator, size: Size):
        self._rng = rng
        self._people = _normal(rng, size.identities + 1, FACTORS)
        self._cameras = OF_CAMERA * _normal(rng, CAMERAS + 1, FACTORS)
        self._basis = _normal(rng, FACTORS, size.width) / np.float32(np.sqrt(FACTORS))

    def features(self, people: People, dtype: str) -> np.ndarray:
        """Draws images of people: [M, F] at length 1; each image of identity 0 is of another."""
        rng, width = self._rng, self._basis.shape[1]
        result = np.empty((len(people.identities), width), dtype)
        for start in range(0, len(result), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            identities = people.identities[part]
            factors = self._people[identities]
            nobody = identities == 0
            factors[nobody] = _normal(rng, nobody.sum(), FACTORS)
            factors += self._cameras[people.cameras[part]]
            factors += SPREAD * _normal(rng, *factors.shape)
            rows = factors @ self._basis + COMMON
            rows += NOISE * _normal(rng, *rows.shape)
            result[part] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return result


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)
