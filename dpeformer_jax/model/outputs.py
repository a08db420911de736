"""What a network gives, by name: networks with other heads fit the same losses and scores."""

import flax.struct
import jax

from dpeformer_jax.model.selection import Selection


@flax.struct.dataclass
class Outputs:
    """Everything that a network computes from B images, float32.

    features: [B, F] each, by name.
    logits: identity scores [B, C] or [B, P, C], by name.
    metric: what the triplet loss compares, [B, F] or [B, P, F] each, by name.
    selection: the patches that were chosen, or None where the network chooses none.

    Logits and metric are unused outside of training, where jit removes them.
    """

    features: dict[str, jax.Array]
    logits: dict[str, jax.Array]
    metric: dict[str, jax.Array]
    selection: Selection | None = None
