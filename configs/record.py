"""config.json: the config of a workdir, which a run that goes on must keep."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from configs.default import FIELDS, RENAMED
from configs.fields import flatten
from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.checkpoint.weights import steps_of
from dpeformer_jax.runtime.processes import write_once

NAME = "config.json"
FOLDERS = ("data.root", "data.data_dir", "views.occluders")  # as seen from anywhere
FREE = [field.name for field in FIELDS if field.free]
GROWING = [field.name for field in FIELDS if field.grows]
LOG = logging.getLogger("configs.record")


def write_config(workdir: Path, config: ConfigDict) -> None:
    """Makes the folder and writes config.json.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        write_once(workdir / NAME, json.dumps(_anywhere(_plain(config)), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error}") from error


def stored_fields(path: Path) -> dict[str, Any]:
    """Returns every field of a config.json, {"data.root": ...}, under its present name.

    A field that is newer than the file has its default.

    Raises:
        UserError: the file cannot be read, is no config, or is of a newer version.
    """
    defaults = {field.name: _as_json(field.default) for field in FIELDS}
    try:
        content = flatten(dict(json.loads(path.read_text())))
        stored = {RENAMED.get(name, name): value for name, value in content.items()}
        if not stored.keys() & defaults:
            raise ValueError("it has none of a config's fields")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read as a config ({error}); expected the config.json of a workdir. "
            "Bring it back; or remove it and name, by --config, the config that it was made with"
        ) from error
    if unknown := sorted(stored.keys() - defaults):
        raise UserError(
            f"{path} has fields that this version does not know: {some(unknown)}. A newer version "
            "wrote it: use that one"
        )
    return defaults | stored


def check_config(workdir: Path, config: ConfigDict) -> None:
    """Raises UserError where the folder holds checkpoints of another config.

    Fields that are `free` may differ, and those that `grow` may be larger than before.
    """
    path = workdir / NAME
    if not steps_of(workdir) or not path.exists():
        return
    old, new = stored_fields(path), flatten(_plain(config))
    changed = [name for name in sorted(old) if _compared(name, old) != _compared(name, new)]
    grown = [name for name in changed if name in GROWING and new[name] > old[name]]
    if refused := [name for name in changed if name not in [*FREE, *grown]]:
        changes = "; ".join(f"config.{name}: {old[name]} -> {new[name]}" for name in refused)
        raise UserError(
            f"{path} is of a run with another config, with checkpoints: {changes}. Give the old "
            "values, or choose another --workdir, which may start from this one's weights by "
            f"--config.init.checkpoint={workdir}. configs/default.py says what may change (`free`) "
            "and what may be raised (`grows`)"
        )
    for name in grown:
        LOG.info("config.%s: %s -> %s, as a schedule of that length", name, old[name], new[name])


def differences(first: Path, second: Path) -> list[tuple[str, Any, Any]] | None:
    """Returns the fields in which the configs of two workdirs differ: name and both values.

    Fields that change no score are left out. None where one of them has no config.json.
    """
    if not all((workdir / NAME).exists() for workdir in (first, second)):
        return None
    one, other = (stored_fields(workdir / NAME) for workdir in (first, second))
    told = [name for name in sorted(one) if name not in FREE or name.startswith("eval.")]
    return [(name, one[name], other[name]) for name in told if one[name] != other[name]]


def changed_fields(fields: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Returns the fields that are not the defaults: name, value, default."""
    defaults = {field.name: _as_json(field.default) for field in FIELDS}
    names = [name for name in sorted(fields) if fields[name] != defaults[name]]
    return [(name, fields[name], defaults[name]) for name in names]


def _compared(name: str, fields: dict[str, Any]) -> Any:
    """Returns what of a field a run depends on: joined data sets may move, as data.root may."""
    if name == "data.joined":
        return [text.partition("=")[0].partition(";")[0].strip() for text in fields[name]]
    return fields[name]


def _anywhere(fields: dict[str, Any]) -> dict[str, Any]:
    """Makes the paths of folders absolute, so that a workdir is enough wherever one stands."""
    for section, name in (folder.split(".") for folder in FOLDERS):
        if path := fields[section][name]:
            fields[section][name] = os.path.abspath(os.path.expanduser(path))
    return fields


def _plain(config: ConfigDict) -> dict[str, Any]:
    return json.loads(config.to_json())


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))
