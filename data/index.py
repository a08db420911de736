"""Who the images of a prepared split show, kept beside them: no start reads them all for it."""

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from data.whole import written_whole


class Row(NamedTuple):
    """One image; digest: SHA-256 of its file in hexadecimal."""

    identity: int
    camera: int
    path: str
    digest: str


def kept(path: Path, files: Sequence[Path], make: Callable[[], Iterable[Row]]) -> list[Row]:
    """The rows in the file `path`, if the files that they tell of are as they were.

    Otherwise, and where `path` is missing or damaged, the rows of `make`, which are then kept. In a
    folder that cannot be written they are made every time.
    """
    now = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(files)]
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(path.read_text())
        if found["files"] == now:
            return [Row(*row) for row in found["rows"]]
    rows = list(make())
    with contextlib.suppress(OSError), written_whole(path) as file:
        file.write(json.dumps({"files": now, "rows": rows}).encode())
    return rows
