"""Decoded images in a file that all processes of a machine map into memory: [M, H, W, 3] uint8."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock
import numpy as np

from data.errors import DataError
from data.whole import written_whole

REMOVE = "remove it to have it made anew"


def mapped(path: Path, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> np.ndarray:
    """The file as an array that cannot be written; made from `pieces` if it is not there yet.

    Of several processes one makes it and the others wait. It gets its name when it is whole.

    Raises:
        DataError: the folder cannot be written or has no room; the file is damaged.
    """
    if not path.exists():
        with _room(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(path.with_suffix(".lock")).acquire()
        with lock:
            if not path.exists():
                _write(path, shape, pieces)
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); {REMOVE}") from error
    if pixels.shape != shape:
        raise DataError(f"{path} holds {pixels.shape}, not {shape}; {REMOVE}")
    return pixels


def _write(path: Path, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> None:
    """Not through a map: there a full disk ends the process by a signal. The lock is ours."""
    for leftover in path.parent.glob(f"{path.name}.*.partial"):
        leftover.unlink()  # of a process that was killed
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with written_whole(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for images in pieces:  # what these raise is of the images, not of this file
            with _room(path):
                file.write(np.ascontiguousarray(images))
                file.flush()


@contextlib.contextmanager
def _room(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error}); choose another folder by config.data.data_dir, "
            "or another config.data.cache"
        ) from error
