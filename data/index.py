"""Who the images of a prepared split show, kept beside them: no start reads them all for it."""

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """One image; digest: SHA-256 of its file in hexadecimal."""

    identity: int
    camera: int
    path: str
    digest: str


def kept(path: Path, make: Callable[[], Iterable[Row]]) -> list[Row]:
    """The rows in a file; where it is missing or damaged those of `make`, which are then kept.

    In a folder that cannot be written they are made every time.
    """
    try:
        return [Row(*row) for row in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        rows = list(make())
    with contextlib.suppress(OSError):
        _write_whole(path, json.dumps(rows))
    return rows


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")  # others may write too
    try:
        with partial.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave the new name with nothing in it
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
