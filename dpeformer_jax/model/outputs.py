"""What a network gives, by name: networks with other heads fit the same losses and scores."""

import flax.struct
import jax

from dpeformer_jax.model.selection import Selection


@flax.struct.dataclass
class Outputs:
    """Everything that a network computes from B images, float32.

    features: [B, F] each, by name.
    logits: identity scores [B, C] or [B, P, C], by name. They are unused outside of training, where
        jit removes them.
    selection: the patches that were chosen, or None where the network chooses none.
    """

    features: dict[str, jax.Array]
    logits: dict[str, jax.Array]
    selection: Selection | None = None
