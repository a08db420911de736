"""The folder of one run: its config, and the promise not to mix two runs in it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from dpeformer_jax.errors import ConfigError
from dpeformer_jax.files import write_whole
from dpeformer_jax.validation import flatten

DATA = "trained_on.json"
# Fields that change neither the network nor its training.
FREE = (
    "distributed.coordinator",
    "distributed.enabled",
    "distributed.process",
    "distributed.processes",
    "data.allow_other_counts",
    "data.cache",
    "data.data_dir",
    "data.loader_processes",
    "data.loader_threads",
    "eval.batch_size",
    "eval.datasets",
    "eval.rerank",
    "eval.rerank_k1",
    "eval.rerank_k2",
    "eval.rerank_weight",
    "model.attention",
    "model.remat",
    "parallel",
    "train.checkpoint_every",
    "train.checkpoint_every_minutes",
    "train.log_every",
    "train.microbatches",
    "train.on_nonfinite",
    "train.trace",
)


def check_workdir(workdir: Path, config: ConfigDict) -> None:
    """Raises ConfigError where the folder cannot be used, or holds checkpoints of another config.

    Changes nothing on disk: what is wrong is said before any data is read.
    """
    _refuse_unwritable(workdir)
    path = workdir / "config.json"
    started = any(p.name.isdigit() for p in (workdir / "checkpoints").glob("*"))
    if started and path.exists():
        _refuse_changes(path, flatten(json.loads(path.read_text())), flatten(_plain(config)))


def write_config(workdir: Path, config: ConfigDict) -> None:
    """Makes the folder and writes config.json.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path = workdir / "config.json"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(_plain(config), indent=2) + "\n")
    except OSError as error:
        raise ConfigError(f"--workdir={workdir} cannot be written: {error}") from error


def record_data(workdir: Path, trained_on: Mapping[str, Any]) -> None:
    """Writes down the fingerprints of what a training that begins is trained on."""
    write_whole(workdir / DATA, json.dumps(dict(trained_on), indent=2) + "\n")


def recorded_data(workdir: Path) -> dict[str, Any]:
    """What `record_data` wrote."""
    return json.loads((workdir / DATA).read_text())


def check_data(workdir: Path, trained_on: Mapping[str, Any]) -> None:
    """Raises ConfigError where a training would go on with other images or cut-outs."""
    old, new = flatten(recorded_data(workdir)), flatten(dict(trained_on))
    changed = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if changed:
        raise ConfigError(
            f"{workdir / DATA}: the data have changed since the training began: "
            f"{', '.join(changed)}. Choose another --workdir, or bring back the old files"
        )


def _refuse_unwritable(workdir: Path) -> None:
    nearest = next(p for p in (workdir, *workdir.absolute().parents) if os.path.lexists(p))
    if not nearest.is_dir():
        raise ConfigError(f"--workdir={workdir} cannot be made: {nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"--workdir={workdir} cannot be written: {nearest} is read-only here")


def _plain(config: ConfigDict) -> dict[str, Any]:
    return json.loads(config.to_json())


def _refuse_changes(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    missing = "(no such field)"
    changes = [
        f"config.{name}: {old.get(name, missing)} -> {new.get(name, missing)}"
        for name in sorted(old.keys() | new.keys())
        if name not in FREE and old.get(name, missing) != new.get(name, missing)
    ]
    if changes:
        raise ConfigError(
            f"{path} is of a run with another config, with checkpoints: "
            f"{'; '.join(changes)}. Choose another --workdir, or the old values; what may change "
            f"freely: {', '.join(FREE)}"
        )
