"""One training a workdir.

The kernel holds the lock (flock) and gives it back however its holder ends; a second file says who
the holder is, for the message of the one who is refused. On network file systems this holds where
they carry flock (NFS 4, Lustre with `flock`, CIFS).
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from dpeformer_jax.errors import ConfigError
from dpeformer_jax.files import write_whole
from dpeformer_jax.processes import is_first

LOCK, HOLDER = "lock", "holder.json"


def refuse_held(workdir: Path) -> None:
    """Raises ConfigError where a training runs in the folder; changes nothing there."""
    if is_first() and (workdir / LOCK).exists():
        with _acquired(workdir):
            pass


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
    """The folder, which exists, belongs to this process within the block.

    Of several processes that train together the first holds it for all.

    Raises:
        ConfigError: another process holds it; names its host and process id.
    """
    if not is_first():
        yield
        return
    with _acquired(workdir):
        holder = workdir / HOLDER
        if holder.exists():
            print(f"taking over {workdir} from {_holder(workdir)}, which ended", flush=True)
        write_whole(holder, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)


@contextlib.contextmanager
def _acquired(workdir: Path) -> Iterator[None]:
    try:
        with filelock.FileLock(workdir / LOCK, blocking=False):
            yield
    except filelock.Timeout as error:
        raise ConfigError(
            f"--workdir={workdir} is in use by {_holder(workdir)}; wait for it, end it, or choose "
            "another"
        ) from error


def _holder(workdir: Path) -> str:
    try:
        holder = json.loads((workdir / HOLDER).read_text())
        return f"process {holder['pid']} on host {holder['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"
