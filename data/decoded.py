"""Decoded images in a file that all processes of a machine map into memory: [M, H, W, 3] uint8."""

import os
from collections.abc import Iterable
from pathlib import Path

import filelock
import numpy as np

from data.errors import DataError


def mapped(path: Path, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> np.ndarray:
    """The file as an array that cannot be written; made from `pieces` if it is not there yet.

    Of several processes one makes it and the others wait. It gets its name when it is whole.

    Raises:
        DataError: the folder cannot be written, or has no room.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    _write(path, shape, pieces)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error}); choose another folder by config.data.data_dir, "
            "or another config.data.cache"
        ) from error
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _write(path: Path, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> None:
    partial = path.with_suffix(".partial")
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        # Not through a map: there a full disk ends the process by a signal.
        with partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for images in pieces:
                file.write(np.ascontiguousarray(images))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
