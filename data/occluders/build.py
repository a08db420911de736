"""Chooses the cut-outs of a bank at random among candidates, and draws a sheet of them."""

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from data.occluders.bank import as_cell, is_tall
from data.occluders.sources import Candidate, Unusable
from dpeformer_jax.base.errors import UserError, some

COLUMNS, ROWS = 20, 10
CELL_HEIGHT = 128  # pixels
SQUARE = 8  # pixels of a square of the checkerboard, which shows where a cut-out is transparent
GREYS = (150, 200)


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
    candidates: Iterable[Candidate], size: tuple[int, int], min_side: int, most: int, seed: int
) -> Built:
    """Chooses `most` of the usable candidates at random, each equally likely, in bounded memory.

    Every candidate draws a lot, and the lowest `most` stay. So a candidate whose lot is above all
    of these need not be decoded. Unusable candidates are dropped and counted. Raises UserError
    where no cut-out is left, or a source cannot be used.

    Args:
        size: (height, width) in pixels of the stretched cut-outs.
        min_side: fewest pixels of a cut-out's shorter side.
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
            cutout = candidate()
            if min(cutout.size) < min_side:
                raise Unusable("a cut-out", "too small", f"a side is below {min_side} pixels")
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
        told = "the folders hold no cut-out at all; see python -m data.occluders build --help"
        raise UserError(f"no cut-out is left: {built.summary()}" if dropped else told)
    return built


def _grown(array: np.ndarray, most: int) -> np.ndarray:
    rows = min(max(2 * len(array), 64), most)
    return np.concatenate([array, np.empty((rows - len(array), *array.shape[1:]), array.dtype)])


def contact_sheet(images: np.ndarray) -> Image.Image:
    """Returns a picture of at most COLUMNS x ROWS cut-outs, spread evenly over [M, h, w, 4]."""
    shown = np.unique(np.linspace(0, len(images) - 1, COLUMNS * ROWS).round().astype(int))
    width = max(1, CELL_HEIGHT * images.shape[2] // images.shape[1])
    sheet = _checkerboard(-(-len(shown) // COLUMNS) * CELL_HEIGHT, COLUMNS * width)
    for place, index in enumerate(shown):
        row, column = divmod(place, COLUMNS)
        cutout = Image.fromarray(images[index]).resize((width, CELL_HEIGHT))
        sheet.paste(cutout, (column * width, row * CELL_HEIGHT), cutout)
    return sheet


def _checkerboard(height: int, width: int) -> Image.Image:
    rows, columns = np.arange(height)[:, None] // SQUARE, np.arange(width) // SQUARE
    return Image.fromarray(np.array(GREYS, np.uint8)[(rows + columns) % 2]).convert("RGB")
