"""The features of any number of pictures, a piece after the other."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from dpeformer_jax.base.pictures import Source
from dpeformer_jax.extracted import Extracted
from dpeformer_jax.extraction.items import Item
from dpeformer_jax.extractor import Extractor
from dpeformer_jax.features import SELECTED
from dpeformer_jax.loading import Named

PIECE = 1024  # pictures a piece; an interruption costs at most one
LOG = logging.getLogger(__name__)


class Pictures(Protocol):
    """What is extracted: a Listing or a VideoListing."""

    def __iter__(self) -> Iterator[Item]: ...

    def count(self) -> int: ...


class Piece(NamedTuple):
    """Pictures that are extracted and written together; number: its place among all pieces."""

    number: int
    items: list[Item]


def pieces_of(pictures: Iterable[Item]) -> Iterator[Piece]:
    """Yields the pictures, PIECE at a time."""
    left = iter(pictures)
    for number in itertools.count():
        items = list(itertools.islice(left, PIECE))
        if not items:
            return
        yield Piece(number, items)


def computed(
    extractor: Extractor,
    pieces: Iterable[Piece],
    features: Sequence[str],
    told: Callable[[int], object],
) -> Iterator[tuple[Piece, Extracted]]:
    """Yields each piece with its features, and its kept patches where the network chooses some.

    The network does not wait between two pieces: the pictures of the next are read meanwhile.

    told: is called with the number of pictures after each batch.
    """
    waiting: deque[Piece] = deque()
    rows: deque[int] = deque()

    def pictures() -> Iterator[Source | Named]:
        for piece in pieces:
            waiting.append(piece)
            for item in piece.items:
                rows.append(extractor.spec.row_named(item.camera))
                yield item.picture()

    names = [*features, SELECTED] if extractor.selects else features
    camera_rows = (rows.popleft() for _ in itertools.count())
    piece, found = None, None
    for batch in extractor.stream(pictures(), camera_rows, names=names, on_error="skip"):
        for message in batch.errors.values():
            LOG.warning("%s", message)
        start = 0
        while start < len(batch.read):
            if piece is None:
                piece, found = waiting[0], _Collected(len(waiting.popleft().items))
            start += found.take(batch, start)
            if found.full:
                yield piece, found.joined()
                piece = None
        told(len(batch.read))


class _Collected:
    """Features of a piece, which fill up batch by batch."""

    def __init__(self, count: int):
        self._count, self._filled = count, 0
        self._arrays: dict[str, np.ndarray] = {}
        self._errors: dict[int, str] = {}

    @property
    def full(self) -> bool:
        return self._filled == self._count

    def take(self, batch: Extracted, start: int) -> int:
        """Takes rows of a batch from `start` on; returns how many."""
        taken = min(self._count - self._filled, len(batch.read) - start)
        end = self._filled + taken
        for name, values in batch.items():
            form = (self._count, *values.shape[1:])
            if name not in self._arrays:
                self._arrays[name] = np.empty(form, values.dtype)
            self._arrays[name][self._filled : end] = values[start : start + taken]
        self._errors |= {
            self._filled + row - start: message
            for row, message in batch.errors.items()
            if start <= row < start + taken
        }
        self._filled = end
        return taken

    def joined(self) -> Extracted:
        return Extracted(self._arrays, self._errors)
