"""config.json: the config of a workdir, which a run that goes on must keep."""

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from configs.default import FIELDS, RENAMED
from configs.fields import flatten
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import steps_of
from dpeformer_jax.runtime.processes import write_once

NAME = "config.json"
FREE = [field.name for field in FIELDS if field.free]


def write_config(workdir: Path, config: ConfigDict) -> None:
    """Makes the folder and writes config.json.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        write_once(workdir / NAME, json.dumps(_plain(config), indent=2) + "\n")
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error}") from error


def check_config(workdir: Path, config: ConfigDict) -> None:
    """Raises UserError where the folder holds checkpoints of another config.

    A field that is newer than the workdir had its default then.
    """
    path = workdir / NAME
    if not steps_of(workdir) or not path.exists():
        return
    stored = {
        RENAMED.get(n, n): value for n, value in flatten(json.loads(path.read_text())).items()
    }
    defaults = {field.name: _as_json(field.default) for field in FIELDS}
    old, new = defaults | stored, flatten(_plain(config))
    changes = [
        f"config.{name}: {old[name]} -> {new.get(name, '(no such field)')}"
        for name in sorted(old)
        if name not in FREE and old[name] != new.get(name)
    ]
    if changes:
        raise UserError(
            f"{path} is of a run with another config, with checkpoints: {'; '.join(changes)}. "
            "Choose another --workdir, or the old values; what may change freely: "
            f"{', '.join(FREE)}"
        )


def _plain(config: ConfigDict) -> dict[str, Any]:
    return json.loads(config.to_json())


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))
