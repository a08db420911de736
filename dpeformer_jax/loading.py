"""Decodes pictures into batches, in threads and ahead of the network."""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import PictureError, Source, decode, open_picture

READ_AHEAD = 4  # batches whose pictures are decoded, or wait for it
_PIL_IMAGES = threading.Lock()  # one that is given twice must not be loaded by two threads at once


class Named(NamedTuple):
    """A picture that is no file, and the name by which errors tell of it.

    picture: or a function that returns it, or raises PictureError; a thread calls it.
    """

    name: str
    picture: Source | Callable[[], Source]


class Batch(NamedTuple):
    """Pictures in an array of a fixed number of rows.

    pixels: [B, H, W, 3], black from row `count` on and where a picture could not be read.
    count: pictures in it.
    errors: why a picture could not be read, by its row.
    """

    pixels: np.ndarray
    count: int
    errors: dict[int, str]


def load(
    pictures: Iterable[Source | Named],
    size: tuple[int, int],
    batch_size: int,
    threads: int | None,
    skip: bool,
) -> Iterator[Batch]:
    """Yields the pictures in their order; the last batch may hold fewer than the others.

    Args:
        pictures: taken READ_AHEAD batches before they are yielded; there may be endlessly many.
        size: (height, width) in pixels.
        threads: that decode at once; None leaves their number to Python.
        skip: whether a picture that cannot be read costs only itself.

    Raises:
        UserError: names the picture that cannot be read, without `skip`.
    """
    decoded = enumerate(_decoded(pictures, size, threads, READ_AHEAD * batch_size))
    while several := list(itertools.islice(decoded, batch_size)):
        pixels, errors = np.zeros((batch_size, *size, 3), np.uint8), {}
        for row, (place, (picture, found)) in enumerate(several):
            if isinstance(found, np.ndarray):
                pixels[row] = found
                continue
            errors[row] = f"{_name(picture, place)} cannot be read as a picture: {found}"
            if not skip:
                raise UserError(errors[row]) from found
        yield Batch(pixels, len(several), errors)


def split(images: np.ndarray, batch_size: int) -> Iterator[Batch]:
    """Yields the images [M, H, W, 3] of an array."""
    for start in range(0, len(images), batch_size):
        own = images[start : start + batch_size]
        padding = ((0, batch_size - len(own)), *[(0, 0)] * 3)
        yield Batch(np.pad(own, padding), len(own), {})


def _decoded(
    pictures: Iterable[Source | Named], size: tuple[int, int], threads: int | None, ahead: int
) -> Iterator[tuple[Source | Named, np.ndarray | PictureError]]:
    pool, waiting = ThreadPoolExecutor(threads, "decode"), deque()
    try:
        for picture in pictures:
            waiting.append((picture, pool.submit(_decode, picture, size)))
            if len(waiting) > ahead:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _first(waiting: deque) -> tuple[Source | Named, np.ndarray | PictureError]:
    picture, future = waiting.popleft()
    return picture, future.result()


def _name(picture: Source | Named, place: int) -> str | Path:
    if isinstance(picture, Named):
        return picture.name
    return picture if isinstance(picture, str | Path) else f"picture {place}"


def _decode(picture: Source | Named, size: tuple[int, int]) -> np.ndarray | PictureError:
    if isinstance(picture, Named):
        picture = picture.picture
    try:
        if callable(picture):
            picture = picture()
        if isinstance(picture, Image.Image):
            with _PIL_IMAGES:
                picture = open_picture(picture)
        return decode(picture, size)
    except PictureError as error:
        return error
