"""history.jsonl: when, how and on what a training ran. Nothing that it computes depends on it."""

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dpeformer_jax.runtime.machine import machine, versions
from dpeformer_jax.runtime.processes import is_first

NAME = "history.jsonl"


@contextlib.contextmanager
def recorded(workdir: Path) -> Iterator[None]:
    """Writes a line when the block begins and one when it ends, whether well or not.

    A killed process leaves the first line alone.
    """
    if not is_first():
        yield
        return
    began = time.time()
    command = shlex.join(["python", *sys.orig_argv[1:]])
    about = {"command": command, "machine": machine(), "versions": versions()}
    _append(workdir / NAME, {"began": began, **about})
    try:
        yield
    finally:
        _append(workdir / NAME, {"ended": time.time(), "seconds": time.time() - began})


def read_history(workdir: Path) -> list[dict[str, Any]]:
    """Returns the lines; none where an earlier version trained. Half a line is left out."""
    found = []
    with contextlib.suppress(OSError):
        for line in (workdir / NAME).read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(dict(json.loads(line)))
    return found


def _append(path: Path, line: dict[str, Any]) -> None:
    # No training ends for want of this file, and no full disk hides what the block raised.
    with contextlib.suppress(OSError), path.open("a") as file:
        file.write(json.dumps(line) + "\n")
