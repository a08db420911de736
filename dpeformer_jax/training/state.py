"""Everything that training carries from step to step."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from dpeformer_jax.model.families import example
from dpeformer_jax.training.objective import MEMORY_FEATURE


@flax.struct.dataclass
class TrainState:
    """One frozen value.

    step: int32 scalar, steps done; params: trained parameters; batch_stats: running statistics of
    the norms; memory: [C, F] the memory bank, or None; opt_state: of the optimiser.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    memory: jax.Array | None
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """The network's variables."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def items(self) -> dict[str, Any]:
        """The state as the items of a checkpoint."""
        memory = {} if self.memory is None else {"memory": {"features": self.memory}}
        training = {"step": self.step, "opt_state": self.opt_state}
        return {"variables": self.variables, **memory, "training": training}

    @classmethod
    def from_items(cls, items: dict[str, Any]) -> "TrainState":
        """Returns the state whose `items` these are."""
        memory = items.get("memory", {"features": None})["features"]
        return cls(memory=memory, **items["variables"], **items["training"])


def initial_state(
    key: jax.Array,
    network: nn.Module,
    tx: optax.GradientTransformation,
    with_memory: bool,
) -> TrainState:
    """Returns fresh parameters and, where the objective needs one, an empty memory bank."""
    outputs, variables = network.init_with_output(key, *example(network.spec))
    memory = None
    if with_memory:
        width = outputs.features[MEMORY_FEATURE].shape[1]
        memory = jnp.zeros((network.spec.num_classes, width))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        memory=memory,
        opt_state=tx.init(variables["params"]),
    )
