"""Chooses the cut-outs of a bank at random among candidates, in bounded memory."""

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from data.occluders.bank import as_cell, is_tall
from data.occluders.sources import Candidate, Unusable
from dpeformer_jax.base.errors import UserError, some

NOTHING = (
    "the folders hold no cut-out at all; python -m data.occluders build --help says what each must "
    "hold"
)


class Built(NamedTuple):
    """The chosen cut-outs, and what became of the others.

    images: [M, h, w, 4] uint8; tall: [M] bool; dropped: number of cut-outs by reason; damaged:
    files that do not decode.
    """

    images: np.ndarray
    tall: np.ndarray
    dropped: Counter[str]
    damaged: list[str]

    def summary(self) -> str:
        """Tells how many cut-outs are kept and dropped, why, and which files are damaged."""
        total = len(self.tall) + self.dropped.total()
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        told = f"kept {len(self.tall):,} of {total:,} cut-outs; dropped: {reasons or 'none'}"
        return told + (f"\ndamaged: {some(self.damaged)}" if self.damaged else "")


def build(
    candidates: Iterable[Candidate],
    size: tuple[int, int],
    min_side: int,
    most: int,
    seed: int,
) -> Built:
    """Chooses `most` of the usable candidates at random, each equally likely.

    Every candidate draws a lot, and the lowest `most` stay. So a candidate whose lot is above all
    of these need not be decoded. Unusable candidates are dropped and counted.

    Args:
        size: (height, width) in pixels of the stretched cut-outs.
        min_side: fewest pixels of a cut-out's shorter side.
        most: most cut-outs that may stay.
        seed: seed of the lots.

    Raises:
        UserError: no cut-out is left, or a source cannot be used.
    """
    rng = np.random.default_rng(seed)
    staying: list[tuple[float, int]] = []  # a heap of (-lot, row), the highest lot first
    images, tall = np.empty((0, *size, 4), np.uint8), np.empty(0, bool)
    dropped: Counter[str] = Counter()
    damaged: dict[str, None] = {}  # an ordered set
    for candidate in candidates:
        lot, full = rng.random(), len(staying) == most
        if full and lot >= -staying[0][0]:
            dropped["over the count"] += 1
            continue
        try:
            cutout = _cut(candidate, min_side)
        except Unusable as error:
            dropped[error.reason] += 1
            if error.reason == "damaged":
                damaged[error.where] = None
            continue
        if full:
            dropped["over the count"] += 1
            _, row = heapq.heappop(staying)
        else:
            row = len(staying)
        heapq.heappush(staying, (-lot, row))
        if row == len(images):
            images, tall = _grown(images, most), _grown(tall, most)
        images[row], tall[row] = as_cell(cutout, size), is_tall(cutout)
    built = Built(images[: len(staying)], tall[: len(staying)], dropped, list(damaged))
    if not staying:
        found = built.dropped.total()
        raise UserError(f"no cut-out is left: {built.summary()}" if found else NOTHING)
    return built


def _cut(candidate: Candidate, min_side: int) -> Image.Image:
    cutout = candidate()
    if min(cutout.size) < min_side:
        raise Unusable("a cut-out", "too small", f"its shorter side is below {min_side} pixels")
    return cutout


def _grown(array: np.ndarray, most: int) -> np.ndarray:
    rows = min(max(2 * len(array), 64), most)
    return np.concatenate([array, np.empty((rows - len(array), *array.shape[1:]), array.dtype)])
