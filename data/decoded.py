"""Keeps decoded images in a file that all processes of a machine map into memory."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock
import numpy as np

from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.base.errors import UserError

REMOVE = "remove it, and it is made anew"


def mapped(path: Path, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> np.ndarray:
    """Maps a file of decoded images [M, H, W, 3] uint8 into memory, read-only.

    If the file is missing, one process makes it from the pieces while the others wait. Raises
    UserError where the folder cannot be written or is full, or the file is damaged.
    """
    if not path.exists():
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(path.with_suffix(".lock")).acquire()
        with lock:
            if not path.exists():
                _write(path, shape, pieces)
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({error}); {REMOVE}") from error
    if pixels.shape != shape:
        raise UserError(f"{path} holds {pixels.shape}, not {shape}; {REMOVE}")
    return pixels


def _write(path: Path, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> None:
    """Writes the file piece by piece; through a map a full disk would kill the process."""
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        leftover.unlink()  # of a killed process: this one holds the lock
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for images in pieces:  # an error of the images says nothing of this file
            with _explained(path):
                file.write(np.ascontiguousarray(images))
                file.flush()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error}); choose another folder by config.data.data_dir, "
            "or another config.data.cache"
        ) from error
