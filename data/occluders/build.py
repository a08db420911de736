"""From candidates to a bank: decoding, dropping, a random choice in bounded memory."""

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from data.errors import DataError
from data.occluders.bank import as_cell, is_tall
from data.occluders.sources import Candidate, Unusable

NAMED_AT_MOST = 10  # damaged files that a message lists


class Built(NamedTuple):
    """images: [M, h, w, 4] uint8; tall: [M] bool; dropped: how many for which reason."""

    images: np.ndarray
    tall: np.ndarray
    dropped: Counter[str]
    damaged: list[str]

    def summary(self) -> str:
        """How many were kept, how many dropped and why, and the damaged ones by name."""
        total = len(self.tall) + self.dropped.total()
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        told = f"kept {len(self.tall):,} of {total:,} cut-outs; dropped: {reasons or 'none'}"
        more = f" and {len(self.damaged) - NAMED_AT_MOST} more"
        names = ", ".join(self.damaged[:NAMED_AT_MOST])
        if self.damaged:
            told += f"\ndamaged: {names}{more if len(self.damaged) > NAMED_AT_MOST else ''}"
        return told


def build(
    candidates: Iterable[Candidate],
    size: tuple[int, int],
    min_side: int,
    most: int,
    seed: int,
) -> Built:
    """The cut-outs of a bank: of the usable candidates `most` at random, each equally likely.

    Every candidate draws a lot and the lowest `most` stay, so that a candidate with a higher lot
    than all that stay need not be decoded. What cannot be used is dropped and counted.

    Args:
        size: (height, width) of a cell in pixels.
        min_side: cut-outs whose shorter side has fewer pixels are dropped.
        most: how many may stay.
        seed: of the lots.

    Raises:
        DataError: no cut-out is left, or a source cannot be used.
    """
    rng = np.random.default_rng(seed)
    staying: list[tuple[float, int]] = []  # a heap of (-lot, row), the highest lot first
    images = np.empty((0, *size, 4), np.uint8)
    tall = np.empty(0, bool)
    dropped: Counter[str] = Counter()
    damaged: list[str] = []
    for candidate in candidates:
        lot = rng.random()
        full = len(staying) == most
        if full and lot >= -staying[0][0]:
            dropped["over the count"] += 1
            continue
        try:
            cutout = candidate.cut()
        except Unusable as error:
            dropped[error.reason] += 1
            if error.reason == "damaged":
                damaged.append(candidate.name)
            continue
        if min(cutout.size) < min_side:
            dropped["too small"] += 1
            continue
        row = staying[0][1] if full else len(staying)
        if full:
            dropped["over the count"] += 1
            heapq.heapreplace(staying, (-lot, row))
        else:
            heapq.heappush(staying, (-lot, row))
        if row == len(images):
            images, tall = _grown(images, most), _grown(tall, most)
        images[row], tall[row] = as_cell(cutout, size), is_tall(cutout)
    built = Built(images[: len(staying)], tall[: len(staying)], dropped, damaged)
    if not staying:
        raise DataError(f"no cut-out is left: {built.summary()}")
    return built


def _grown(array: np.ndarray, most: int) -> np.ndarray:
    rows = min(max(2 * len(array), 64), most)
    return np.concatenate([array, np.empty((rows - len(array), *array.shape[1:]), array.dtype)])
