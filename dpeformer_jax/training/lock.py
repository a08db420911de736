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
from dpeformer_jax.processes import agreed, is_first

LOCK, HOLDER = "lock", "holder.json"


def refuse_held(workdir: Path) -> None:
    """Raises ConfigError where a training runs in the folder; changes nothing there."""
    if is_first() and (workdir / LOCK).exists():
        _acquired(workdir).release()


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
    """The folder, made where it is missing, belongs to this process within the block.

    Of several processes that train together the first holds it for all.

    Raises:
        ConfigError: another process holds it, whose host and process id are named; or it cannot be
            written.
    """
    with contextlib.ExitStack() as stack:
        refusal = None
        if is_first():
            try:
                stack.enter_context(_held(workdir))
            except ConfigError as error:
                refusal = error
        if any(agreed(refusal is not None)):
            raise refusal or ConfigError(f"--workdir={workdir} was refused to the first process")
        yield


@contextlib.contextmanager
def _held(workdir: Path) -> Iterator[None]:
    holder = workdir / HOLDER
    with contextlib.ExitStack() as stack:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            stack.callback(_acquired(workdir).release)
            if holder.exists():
                print(f"taking over {workdir} from {_holder(workdir)}, which ended", flush=True)
            write_whole(holder, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        except OSError as error:
            raise ConfigError(f"--workdir={workdir} cannot be written: {error}") from error
        stack.callback(holder.unlink, missing_ok=True)
        yield


def _acquired(workdir: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(workdir / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise ConfigError(
            f"--workdir={workdir} is in use by {_holder(workdir)}; wait for it, end it, or choose "
            "another"
        ) from error
    return lock


def _holder(workdir: Path) -> str:
    try:
        holder = json.loads((workdir / HOLDER).read_text())
        return f"process {holder['pid']} on host {holder['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"
