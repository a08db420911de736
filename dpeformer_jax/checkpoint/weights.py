"""Networks on disk, without the training around them.

A checkpoint is a folder of items: `variables` (params, batch_stats), `memory`, `model` (the
network's spec) and, of a training, `training` (step and optimiser) and `contents` (checksums and
the step). convert_weights.py writes the first three alone.
"""

import contextlib
import dataclasses
import json
import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from dpeformer_jax.base.errors import UserError, mismatch, some
from dpeformer_jax.checkpoint import checksums
from dpeformer_jax.checkpoint.checksums import DamagedError
from dpeformer_jax.checkpoint.quiet_orbax import ocp, quiet
from dpeformer_jax.model.families import shapes_of
from dpeformer_jax.model.spec import NetworkSpec

CHECKPOINTS = "checkpoints"  # the folder of a workdir that holds its steps
CONVERSION = "conversion.json"  # tells in a checkpoint's folder what it was converted from
LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Weights:
    """A network's arrays in host memory.

    folder: of the checkpoint.
    spec: defines the network; None beside a memory bank alone.
    variables: "params" and "batch_stats"; of a backbone alone {"params": {"backbone": ...}}.
    memory: [C, F] the memory bank, or None.
    step: training steps, or None where the checkpoint does not say.
    """

    folder: Path
    spec: NetworkSpec | None
    variables: dict[str, Any]
    memory: np.ndarray | None
    step: int | None = None

    @cached_property
    def missing(self) -> list[str]:
        """Arrays that the network needs and the checkpoint lacks, by path."""
        return sorted(shapes_of(self.spec).keys() - flatten_dict(self.variables, sep="/").keys())

    @property
    def complete(self) -> bool:
        """Whether the checkpoint holds a network and not a backbone alone, which has no necks."""
        return "batch_stats" in self.variables

    @property
    def converted(self) -> bool:
        """Whether it holds what another program's file held."""
        return (self.folder / CONVERSION).exists()

    def refuse_incomplete(self) -> None:
        """Raises UserError where features would come from arrays that are not there."""
        if not self.complete:
            raise UserError(
                f"{self.folder} holds no whole network (a backbone or a memory bank alone); train "
                "from it with --config.init.checkpoint"
            )
        if self.missing:
            raise UserError(f"{self.folder} lacks {some(self.missing)}; convert it again")


def workdir_of(checkpoint: Path) -> Path:
    """Returns the workdir that a step's folder lies in, or the folder itself."""
    in_workdir = checkpoint.parent.name == CHECKPOINTS
    return checkpoint.parent.parent if in_workdir else checkpoint


def steps_of(path: Path) -> list[Path]:
    """Lists the checkpoints in a workdir or in its folder `checkpoints`, the newest first."""
    folders = [p for folder in (path, path / CHECKPOINTS) for p in folder.glob("*")]
    steps = [folder for folder in folders if folder.name.isdigit()]
    return sorted(steps, key=lambda step: int(step.name), reverse=True)


def find_checkpoints(path: Path) -> list[Path]:
    """Lists the checkpoints that a path means, the newest first; raises UserError without any.

    path: a checkpoint, a workdir, or a workdir's folder `checkpoints`.
    """
    if not path.is_dir():
        raise UserError(
            f"{path} is not a folder; expected the --workdir of a training or the --target of "
            "convert_weights.py"
        )
    if (path / "variables").is_dir() or (path / "memory").is_dir():
        return [path]
    if found := steps_of(path):
        return found
    raise UserError(f"{path} holds no checkpoint; train first, or run convert_weights.py")


def load_weights(path: Path) -> Weights:
    """Reads the checkpoint that a path means (see find_checkpoints), the newest that is whole.

    Raises UserError where there is none, or a newer version wrote it.
    """
    *newer, oldest = find_checkpoints(path.expanduser())
    for folder in newer:
        try:
            return _load(folder)
        except DamagedError as error:
            LOG.warning("%s; the checkpoint before it is taken", error)
    try:
        return _load(oldest)
    except DamagedError as error:
        raise UserError(f"{error}; fetch or make it again") from error


def save_weights(folder: Path, weights: Weights) -> None:
    """Writes the items that load_weights reads; the caller gives the folder its final name."""
    memory = {} if weights.memory is None else {"features": weights.memory}
    with ocp.StandardCheckpointer() as checkpointer:
        for name, tree in {"variables": weights.variables, "memory": memory}.items():
            if tree:
                checkpointer.save(folder.absolute() / name, tree)
    if weights.spec is not None:
        with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as checkpointer:
            checkpointer.save(folder.absolute() / "model", weights.spec.to_json())


def refuse_unfit(saved: Path | str, expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Raises UserError where the saved arrays' names or forms, by path, are not the expected."""
    missing, left_over = sorted(expected.keys() - found), sorted(found.keys() - expected)
    misshapen = [
        f"{name}: expected {expected[name]}, found {found[name]}"
        for name in sorted(expected.keys() & found)
        if expected[name] != found[name]
    ]
    if problems := mismatch(missing, left_over, misshapen):
        raise UserError(
            f"{saved} does not fit the network of this config (- missing there, + left over): "
            f"{problems}"
        )


def _load(folder: Path) -> Weights:
    try:
        contents, model = checksums.read_contents(folder), folder / "model/metadata"
        stored = json.loads(model.read_text()) if model.exists() else None
        spec = None if stored is None else NetworkSpec.from_json(stored)
        variables, memory = _read(folder / "variables"), _read(folder / "memory")
        if not variables and not memory:
            raise ValueError("it is empty")
        _check(variables, spec)
        step = int(folder.name) if folder.name.isdigit() else None
        if contents is not None:
            if contents["model"] != stored:
                raise ValueError("model is not what was saved")
            checksums.verify(variables, contents["arrays"]["variables"])
            checksums.verify(memory, contents["arrays"].get("memory", {}))
            step = contents.get("step", step)  # version 1 says it by the folder's name alone
        return Weights(folder, spec, variables, memory.get("features"), step)
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        told = (str(error) or "empty").splitlines()[0]
        raise DamagedError(f"{folder} is damaged: {told}") from error


def _check(variables: dict[str, Any], spec: NetworkSpec | None) -> None:
    """Raises ValueError where the arrays are not those of the spec."""
    arrays = flatten_dict(variables, sep="/")
    if bool(arrays) != (spec is not None):
        raise ValueError("it must have both the arrays of a network and model, or neither")
    shapes = shapes_of(spec) if arrays else {}
    for path, array in arrays.items():
        if shapes.get(path) != array.shape:
            raise ValueError(f"{path} has shape {array.shape}, its model says {shapes.get(path)}")


def _read(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        return {}
    # A Checkpointer around the handler would warn of what an item of a training does not have.
    with quiet(), contextlib.closing(ocp.StandardCheckpointHandler()) as handler:
        tree = handler.metadata(folder.absolute()).tree
        like = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), tree)
        return handler.restore(folder.absolute(), args=ocp.args.StandardRestore(like))
