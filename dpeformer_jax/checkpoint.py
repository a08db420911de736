"""Saving and restoring the training state with orbax.

A checkpoint is a folder of items: `variables` (params, batch_stats), `memory`, `training` (step and
optimiser) and `model`, the network in words. weights.py reads the parts that stand on their own.
"""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from dpeformer_jax.errors import ConfigError
from dpeformer_jax.model.description import Description

Items = dict[str, Any]  # name -> pytree of arrays
KEPT = 3  # newest checkpoints that stay on disk


class Checkpoints:
    """The checkpoints of one workdir, named by their step.

    Written in the background under a temporary name and renamed when complete, so that a killed
    process never leaves a half checkpoint that is taken for a whole one.
    """

    def __init__(self, directory: Path, model: Description):
        self._directory, self._model = directory, model
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, create=True)
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)

    @property
    def newest(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def save(self, step: int, items: Items) -> None:
        """Writes the items and the model in the background, once a step."""
        if step != self.newest:
            saved = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
            saved["model"] = ocp.args.JsonSave(self._model)
            self._manager.save(step, args=ocp.args.Composite(**saved))

    def restore(self, like: Items) -> Items:
        """The newest items, laid out on the devices as `like`.

        Raises:
            ConfigError: there is none, or it is of another network.
        """
        if self.newest is None:
            raise ConfigError(f"{self._directory}: holds no checkpoint; train first")
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        wanted = {name: ocp.args.StandardRestore(tree) for name, tree in target.items()}
        try:
            return dict(self._manager.restore(self.newest, args=ocp.args.Composite(**wanted)))
        except (ValueError, KeyError, FileNotFoundError) as error:
            raise ConfigError(
                f"{self._directory}: step {self.newest} does not fit the network of this config: "
                f"{str(error).splitlines()[0]}"
            ) from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        """Waits for what is being written, also where the training failed."""
        self._manager.close()
