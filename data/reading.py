"""Reads image files as they are and tests whether they decode."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from dpeformer_jax.base.pictures import PictureError, open_picture, to_rgb

READ_AT_ONCE = 256


class Damage(NamedTuple):
    """A file that cannot be used, and why, in a few words."""

    problem: str


def read_all(paths: Sequence[Path]) -> Iterator[bytes | Damage]:
    """Yields the content of files in order; threads read and test-decode them."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), READ_AT_ONCE):
            yield from pool.map(_read, paths[start : start + READ_AT_ONCE])


def problem_of(encoded: bytes) -> str:
    """Returns what is wrong with an image file; "" if nothing is."""
    try:
        to_rgb(open_picture(encoded))
    except PictureError as error:
        return str(error)
    return ""


def _read(path: Path) -> bytes | Damage:
    try:
        encoded = path.read_bytes()
    except OSError as error:
        return Damage(f"cannot be read: {error.strerror}")
    problem = problem_of(encoded)
    return Damage(problem) if problem else encoded
