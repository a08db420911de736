"""Caches each split's identities and cameras, so that startup need not read every image."""

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dpeformer_jax.base.atomic_write import write_text


class Row(NamedTuple):
    """The labels of one image; digest: SHA-256 of its file in hexadecimal."""

    identity: int
    camera: int
    path: str
    digest: str


def cached_rows(path: Path, files: Sequence[Path], make: Callable[[], Iterable[Row]]) -> list[Row]:
    """Returns the rows of the label cache at `path`, or makes them and writes the cache.

    A cache that is missing, damaged or older than its record files is made anew. In a folder that
    cannot be written the rows are made every time.
    """
    now = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(files)]
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(path.read_text())
        if found["files"] == now:
            return [Row(*row) for row in found["rows"]]
    rows = list(make())
    with contextlib.suppress(OSError):
        write_text(path, json.dumps({"files": now, "rows": rows}))
    return rows
