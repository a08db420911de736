"""FBM, the feature blending module (arXiv 2402.10435, section 3.3)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.layers import TORCH_UNIFORM, Dense, Mlp
from dpeformer_jax.model.plain_attention import attend

SEGMENT = 16  # channels of one token; a feature of D channels becomes D / 16 tokens
HEADS = 2


class FeatureBlending(nn.Module):
    """Lets a part take from the global feature what it lacks: [B, D] x [B, D] -> [B, D].

    Both vectors are cut into tokens of 16 channels. The part's tokens attend to the global ones.

    Attributes:
        dtype: of the computation.
        mix_batch: merges the heads along the wrong axis, as the released program does, so that an
            image receives the attention of two others. For comparison only.
    """

    dtype: jnp.dtype = jnp.float32
    mix_batch: bool = False

    @nn.compact
    def __call__(self, part: jax.Array, global_token: jax.Array) -> jax.Array:
        batch, width = part.shape
        place = self.param("pos_embed", nn.initializers.zeros, (width // SEGMENT, SEGMENT))
        x = part.reshape(batch, -1, SEGMENT) + place
        y = global_token.reshape(batch, -1, SEGMENT) + place
        x = x + self._attend(self._norm("norm1")(x), self._norm("norm2")(y))
        x = x + Mlp(SEGMENT, self.dtype, TORCH_UNIFORM, name="mlp")(self._norm("norm3")(x))
        return x.reshape(batch, width)

    def _norm(self, name: str) -> nn.LayerNorm:
        return nn.LayerNorm(epsilon=1e-5, dtype=self.dtype, name=name)

    def _attend(self, query: jax.Array, source: jax.Array) -> jax.Array:
        def dense(features: int, name: str, use_bias: bool = False) -> Dense:
            return Dense(features, self.dtype, TORCH_UNIFORM, use_bias, name=name)

        def heads(x: jax.Array) -> jax.Array:
            return x.reshape(*x.shape[:-1], HEADS, SEGMENT // HEADS)

        k, v = jnp.split(dense(2 * SEGMENT, "kv")(source), 2, axis=-1)
        mixed = attend(heads(dense(SEGMENT, "q")(query)), heads(k), heads(v))
        if self.mix_batch:
            mixed = mixed.transpose(2, 0, 1, 3)  # heads before the batch, not beside the channels
        return dense(SEGMENT, "proj", use_bias=True)(mixed.reshape(query.shape))


# One module with its own weights for each part: parts [B, P, D], global [B, D] -> [B, P, D].
PartBlending = nn.vmap(
    FeatureBlending,
    in_axes=(1, None),
    out_axes=1,
    variable_axes={"params": 0},
    split_rngs={"params": True},
)
