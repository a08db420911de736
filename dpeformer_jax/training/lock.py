"""Lets one training at a time into a workdir.

The kernel holds the lock (flock) and releases it however its holder ends. A second file names the
holder, for the message to a training that is refused. Network file systems must carry flock (NFS 4,
Lustre with `flock`, CIFS).
"""

import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from dpeformer_jax.base.atomic_write import write_text
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.runtime.processes import agreed, is_first

LOCK, HOLDER = "lock", "holder.json"
LOG = logging.getLogger(__name__)


def refuse_held(workdir: Path) -> None:
    """Raises UserError where a training runs in the folder; changes nothing there."""
    if is_first() and (workdir / LOCK).exists():
        _acquired(workdir).release()


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
    """Holds the folder, made where it is missing, for this process within the block.

    Of several processes that train together, the first holds it for all.

    Raises:
        UserError: another process holds the folder, with its host and process id; or the folder
            cannot be written.
    """
    with contextlib.ExitStack() as stack:
        refusal = None
        if is_first():
            try:
                stack.enter_context(_held(workdir))
            except UserError as error:
                refusal = error
        if any(agreed(refusal is not None)):
            raise refusal or UserError(f"--workdir={workdir} was refused to the first process")
        yield


@contextlib.contextmanager
def _held(workdir: Path) -> Iterator[None]:
    holder = workdir / HOLDER
    with contextlib.ExitStack() as stack:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            stack.callback(_acquired(workdir).release)
            if holder.exists():
                LOG.info("taking over %s from %s, which ended", workdir, _holder(workdir))
            write_text(holder, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        except OSError as error:
            raise UserError(f"--workdir={workdir} cannot be written: {error}") from error
        stack.callback(holder.unlink, missing_ok=True)
        yield


def _acquired(workdir: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(workdir / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise UserError(
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
