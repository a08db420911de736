"""Everything that training carries from step to step."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from dpeformer_jax.model.dpeformer import DPEFormer


@flax.struct.dataclass
class TrainState:
    """One frozen value.

    step: int32 scalar, steps done; params: trained parameters; batch_stats: running statistics of
    the norms; memory: [C, P * D] the memory bank; opt_state: of the optimiser.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    memory: jax.Array
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What `DPEFormer.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def items(self) -> dict[str, Any]:
        """The state as the items of a checkpoint."""
        return {
            "variables": self.variables,
            "memory": {"features": self.memory},
            "training": {"step": self.step, "opt_state": self.opt_state},
        }

    @classmethod
    def from_items(cls, items: dict[str, Any]) -> "TrainState":
        """The inverse of `items`."""
        memory = items["memory"]["features"]
        return cls(memory=memory, **items["variables"], **items["training"])


def initial_state(
    key: jax.Array,
    model: DPEFormer,
    tx: optax.GradientTransformation,
    image_size: tuple[int, int],
) -> TrainState:
    """Fresh parameters and an empty memory bank. image_size: (height, width) in pixels."""
    images = jnp.zeros((1, *image_size, 3))
    side = jnp.zeros(1, jnp.int32)
    variables = model.init(key, images, side)
    params = variables["params"]
    width = model.parts * model.variant.width
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables["batch_stats"],
        memory=jnp.zeros((model.num_classes, width)),
        opt_state=tx.init(params),
    )
