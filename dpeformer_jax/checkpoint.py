"""Saving and restoring the training state with orbax."""

from pathlib import Path
from typing import TypeVar

import jax
import orbax.checkpoint as ocp

from dpeformer_jax.errors import ConfigError

State = TypeVar("State")  # any pytree of arrays
KEPT = 3  # newest checkpoints that stay on disk


class Checkpoints:
    """The checkpoints of one workdir, named by their step.

    Written in the background under a temporary name and renamed when complete, so that a killed
    process never leaves a half checkpoint that is taken for a whole one.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, create=True)
        self._manager = ocp.CheckpointManager(directory.absolute(), options=options)

    @property
    def newest(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def save(self, step: int, state: State) -> None:
        """Writes the state in the background, once a step."""
        if step != self.newest:
            self._manager.save(step, args=ocp.args.StandardSave(state))

    def restore(self, like: State) -> State:
        """The newest state, laid out on the devices as `like`.

        Raises:
            ConfigError: there is none, or it is of another network.
        """
        if self.newest is None:
            raise ConfigError(f"{self._directory}: holds no checkpoint; train first")
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        try:
            return self._manager.restore(self.newest, args=ocp.args.StandardRestore(target))
        except ValueError as error:
            raise ConfigError(
                f"{self._directory}: step {self.newest} does not fit the network of this config: "
                f"{str(error).splitlines()[0]}"
            ) from error

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_) -> None:
        """Waits for what is being written, also where the training failed."""
        self._manager.close()
