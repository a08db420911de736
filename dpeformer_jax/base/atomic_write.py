"""Files and folders that are there whole or not at all."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside the target, which takes the target's name at the end.

    The block writes a file or makes a folder at the temporary path. A file reaches the disk before
    it gets its name, so that a power cut leaves no empty one. If the block fails, the temporary
    path is removed. Several processes may write at a time: the last one's stays.
    """
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        if partial.is_file():
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        if partial.is_dir() and target.is_dir():  # os.replace does not replace a folder
            old = partial.with_suffix(".old")
            os.replace(target, old)
            try:
                os.replace(partial, target)
            except OSError:
                os.replace(old, target)
                raise
            shutil.rmtree(old)
        else:
            os.replace(partial, target)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with atomic_write(target) as partial:
        partial.write_text(text)
