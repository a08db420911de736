"""The folder of one training: the data that it is of, and the promise not to mix two in it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.runtime.processes import write_once

DATA = "trained_on.json"


def record_data(workdir: Path, trained_on: Mapping[str, Any]) -> None:
    """Writes the fingerprints of the images and cut-outs that a training begins with."""
    write_once(workdir / DATA, json.dumps(dict(trained_on), indent=2) + "\n")


def recorded_data(workdir: Path) -> dict[str, Any]:
    """Returns what `record_data` wrote."""
    return json.loads((workdir / DATA).read_text())


def check_data(workdir: Path, trained_on: Mapping[str, Any]) -> None:
    """Raises UserError where a training would go on with other images or cut-outs.

    Folders may have moved and changed their names; the fingerprints decide.
    """
    old, new = _contents(recorded_data(workdir)), _contents(dict(trained_on))
    changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if changed:
        raise UserError(
            f"{workdir / DATA}: the data have changed since the training began: "
            f"{', '.join(changed)}. Choose another --workdir, or bring back the old files"
        )


def refuse_unwritable(workdir: Path) -> None:
    """Raises UserError where the folder cannot be made or written; changes nothing on disk."""
    nearest = next(p for p in (workdir, *workdir.absolute().parents) if os.path.lexists(p))
    if not nearest.is_dir():
        raise UserError(f"--workdir={workdir} cannot be made: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"--workdir={workdir} cannot be written: {nearest} is read-only here")


def _contents(trained_on: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a training follows from: each data set by its place, and the cut-outs."""
    datasets = trained_on.get("datasets", {}).values()
    numbered = {f"data set {place}": told for place, told in enumerate(datasets, start=1)}
    bank = str(trained_on.get("occluders", ""))
    return numbered | {"occluders": bank.rpartition("fingerprint ")[2]}
