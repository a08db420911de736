"""What an Extractor returns."""

import itertools
from collections.abc import Sequence

import numpy as np

from dpeformer_jax.features import Features


class Extracted(dict[str, np.ndarray]):
    """Features of B pictures by name, a row a picture.

    Attributes:
        errors: why a picture could not be read, by its row. Its features are NaN, and none of its
            patches is selected.
        read: [B] bool, the pictures that could be read.
    """

    def __init__(self, features: Features, errors: dict[int, str]):
        super().__init__({name: np.array(values) for name, values in features.items()})
        unread = list(errors)
        self.errors, self.read = errors, np.ones(len(next(iter(self.values()))), bool)
        self.read[unread] = False
        for values in self.values():
            values[unread] = False if values.dtype == bool else np.nan


def join(chunks: Sequence[Extracted], empty: Features) -> Extracted:
    """Puts chunks one below the other; empty: the features [0, F] that each of them has."""
    features = {
        name: np.concatenate([none, *(chunk[name] for chunk in chunks)])
        for name, none in empty.items()
    }
    starts = itertools.accumulate((len(chunk.read) for chunk in chunks), initial=0)
    errors = {
        start + row: told
        for start, chunk in zip(starts, chunks, strict=False)
        for row, told in chunk.errors.items()
    }
    return Extracted(features, errors)
