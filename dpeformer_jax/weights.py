"""Networks on disk, without the training around them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict

from dpeformer_jax.checksums import unseal, verify
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.model.description import Description, shapes_of


@dataclasses.dataclass(frozen=True)
class Weights:
    """What a checkpoint folder holds of a network, as numpy arrays.

    folder: of the checkpoint.
    model: the network in words; None beside a memory bank alone.
    variables: "params" and "batch_stats"; of a backbone alone {"params": {"backbone": ...}}.
    memory: [C, P * D] the memory bank, or None.
    """

    folder: Path
    model: Description | None
    variables: dict[str, Any]
    memory: np.ndarray | None

    @property
    def missing(self) -> list[str]:
        """Arrays of the network that are not there, by path."""
        return sorted(shapes_of(self.model).keys() - flatten_dict(self.variables, sep="/").keys())

    @property
    def complete(self) -> bool:
        """Whether it is a whole network and not a backbone alone."""
        return "blending" in self.variables.get("params", {})


def find_checkpoint(path: Path) -> Path:
    """The checkpoint folder meant by a workdir, its `checkpoints`, or the folder itself.

    Raises:
        ConfigError: there is none.
    """
    if not path.is_dir():
        raise ConfigError(
            f"{path} is not a folder; expected the --workdir of a training or the --target of "
            "convert_weights.py"
        )
    if (path / "variables").is_dir() or (path / "memory").is_dir():
        return path
    steps = [p for folder in (path, path / "checkpoints") for p in folder.glob("*")]
    steps = [step for step in steps if step.name.isdigit()]
    if not steps:
        raise ConfigError(f"{path} holds no checkpoint; train first, or run convert_weights.py")
    return max(steps, key=lambda step: int(step.name))


def load_weights(path: Path) -> Weights:
    """Reads the checkpoint that `path` means (see find_checkpoint).

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    folder = find_checkpoint(path.expanduser())
    try:
        model = folder / "model/metadata"
        weights = Weights(
            folder=folder,
            model=json.loads(model.read_text()) if model.exists() else None,
            variables=_read(folder / "variables"),
            memory=_read(folder / "memory").get("features"),
        )
        _check(weights)
        _compare(weights)
        return weights
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ConfigError(
            f"{folder} is damaged: {(str(error) or 'empty').splitlines()[0]}"
        ) from error


def _check(weights: Weights) -> None:
    """Raises ValueError, KeyError or TypeError where the arrays are not those of the model."""
    arrays = flatten_dict(weights.variables, sep="/")
    if bool(arrays) != (weights.model is not None):
        raise ValueError("it must have both the arrays of a network and model, or neither")
    shapes = shapes_of(weights.model) if arrays else {}
    for path, array in arrays.items():
        if shapes.get(path) != array.shape:
            raise ValueError(f"{path} has shape {array.shape}, its model says {shapes.get(path)}")


def _compare(weights: Weights) -> None:
    """Raises ValueError where a training's checkpoint is not what was saved."""
    path = weights.folder / "contents/metadata"
    if not path.exists():  # of convert_weights.py
        return
    contents = unseal(json.loads(path.read_text()))
    if contents["model"] != weights.model:
        raise ValueError("model is not what was saved")
    verify(weights.variables, contents["arrays"]["variables"])
    verify({"features": weights.memory}, contents["arrays"]["memory"])


def save_weights(folder: Path, weights: Weights) -> None:
    """Writes the items that load_weights reads; the caller gives the folder its final name."""
    items = {"variables": weights.variables}
    if weights.memory is not None:
        items["memory"] = {"features": weights.memory}
    with ocp.StandardCheckpointer() as checkpointer:
        for name, tree in items.items():
            if tree:
                checkpointer.save(folder.absolute() / name, tree)
    if weights.model is not None:
        with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as checkpointer:
            checkpointer.save(folder.absolute() / "model", weights.model)


def _read(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        return {}
    with ocp.StandardCheckpointer() as checkpointer:
        metadata = checkpointer.metadata(folder.absolute()).item_metadata
        if metadata is None:
            raise ValueError(f"the list of arrays in {folder.name} cannot be read")
        like = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), metadata.tree)
        return checkpointer.restore(folder.absolute(), like)
