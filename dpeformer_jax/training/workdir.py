"""The folder of one training: it takes one process at a time and one set of data.

The kernel holds the lock (flock) and releases it however its holder ends. A second file names the
holder, for the message to a training that is refused. Network file systems must carry flock (NFS 4,
Lustre with `flock`, CIFS).
"""

import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock

from dpeformer_jax.base.atomic_write import write_text
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.origin import Origin
from dpeformer_jax.runtime.processes import agreed, is_first, write_once

LOCK, HOLDER = "lock", "holder.json"
DATA, PICTURES = "trained_on.json", "trained_on.sha256"
LOG = logging.getLogger(__name__)


def refuse_unwritable(workdir: Path) -> None:
    """Raises UserError where the folder cannot be made or written; changes nothing on disk."""
    nearest = next(p for p in (workdir, *workdir.absolute().parents) if os.path.lexists(p))
    if not nearest.is_dir():
        raise UserError(f"--workdir={workdir} cannot be made: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"--workdir={workdir} cannot be written: {nearest} is read-only here")


def refuse_held(workdir: Path) -> None:
    """Raises UserError where a training runs in the folder; changes nothing there."""
    if is_first() and (workdir / LOCK).exists():
        _acquired(workdir).release()


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
    """Holds the folder, made where it is missing, for this process within the block.

    Of several processes that train together, the first holds it for all.

    Raises:
        UserError: another process, which is named, holds the folder; or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        refusal = None
        try:
            if is_first():
                _hold(workdir, stack)
        except UserError as error:
            refusal = error
        if any(agreed(refusal is not None)):
            raise refusal or UserError(f"--workdir={workdir} was refused to the first process")
        yield


def _hold(workdir: Path, stack: contextlib.ExitStack) -> None:
    holder = workdir / HOLDER
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        stack.callback(_acquired(workdir).release)
        if holder.exists():
            LOG.info("taking over %s from %s, which ended", workdir, _holder(workdir))
        write_text(holder, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error}") from error
    stack.callback(holder.unlink, missing_ok=True)


def _acquired(workdir: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(workdir / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        told = f"--workdir={workdir} is in use by {_holder(workdir)}"
        raise UserError(f"{told}; wait for it, end it, or choose another") from error
    return lock


def _holder(workdir: Path) -> str:
    try:
        holder = json.loads((workdir / HOLDER).read_text())
        return f"process {holder['pid']} on host {holder['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def record_data(workdir: Path, trained_on: Mapping[str, Any], digests: Sequence[bytes]) -> None:
    """Writes what a training begins with.

    Args:
        trained_on: fingerprints of the data sets and of the cut-outs.
        digests: SHA-256 of each training image.
    """
    write_once(workdir / PICTURES, "".join(f"{digest.hex()}\n" for digest in digests))
    write_once(workdir / DATA, json.dumps(dict(trained_on), indent=2) + "\n")


def recorded_data(workdir: Path) -> dict[str, Any]:
    """Returns what `record_data` wrote; nothing where the workdir was copied without it.

    Raises UserError where the file is damaged.
    """
    path = workdir / DATA
    try:
        return dict(json.loads(path.read_text())) if path.exists() else {}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); bring it back: it says what the training began with"
        ) from error


def recorded_pictures(workdir: Path) -> set[bytes]:
    """Returns the SHA-256 of each training image; none where an earlier version trained."""
    path = workdir / PICTURES
    return set(map(bytes.fromhex, path.read_text().split())) if path.exists() else set()


def recorded_names(workdir: Path) -> dict[str, str]:
    """Returns the name that each data set of the training had then, by its fingerprint."""
    return {fingerprint: name for name, fingerprint in Origin.of(recorded_data(workdir)).datasets}


def check_data(workdir: Path, trained_on: Mapping[str, Any]) -> None:
    """Raises UserError where a training would go on with other images or cut-outs, or unknown ones.

    Folders may have moved and changed their names; the fingerprints decide.
    """
    began, now = Origin.of(recorded_data(workdir)), Origin.of(trained_on)
    if not (workdir / DATA).exists():
        raise UserError(
            f"{workdir / DATA} is missing, so nothing says which images the training began with. "
            "Bring it back, or choose another --workdir, which may start from these weights by "
            f"--config.init.checkpoint={workdir}"
        )
    old, new = _contents(began), _contents(now)
    changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if changed:
        raise UserError(
            f"{workdir / DATA}: the data have changed since the training began: "
            f"{', '.join(changed)}; it began with {str(began) or 'no data'}, and here is "
            f"{str(now) or 'no data'}. Choose another --workdir, or bring back the old files"
        )


def _contents(origin: Origin) -> dict[str, str]:
    """Returns what a training follows from: each data set by its place, and the cut-outs."""
    datasets = enumerate(origin.datasets, start=1)
    contents = {f"data set {place}": fingerprint for place, (_, fingerprint) in datasets}
    if origin.cutouts:
        contents["occluders"] = origin.cutouts[0][1]
    return contents
