"""Pieces of transformer blocks: dense layers, activations, stochastic depth, initialisers."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

TRUNCATED_NORMAL = nn.initializers.truncated_normal(0.02)
# torch's default for a convolution: uniform in +- 1 / sqrt(fan_in).
TORCH_UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
fold_each = jax.vmap(jax.random.fold_in, (0, None))  # keys [B] and one number


def drop_path(x: jax.Array, rate: float, keys: jax.Array) -> jax.Array:
    """Drops whole examples of a residual branch (stochastic depth, arXiv 1603.09382).

    x: [B, T, D]; keys: [B], one random key an example, so that the choice depends on the example
    and not on how the batch is spread over devices. Kept examples are divided by 1 - rate.
    """
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate))(keys)
    return jnp.where(keep[:, None, None], x / (1 - rate), 0)


@jax.checkpoint
def gelu(x: jax.Array) -> jax.Array:
    """Computes the exact GELU in torch's form; jax.nn.gelu, by erfc, takes a CPU twice the time.

    The gradient computes it again, which is cheaper than to write the erf down and read it.
    """
    wide = x.astype(jnp.float32)  # in bfloat16 the sum would lose what is near -1
    return (0.5 * wide * (1 + jax.lax.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


@jax.checkpoint
def quick_gelu(x: jax.Array) -> jax.Array:
    """Computes CLIP's approximation of the GELU."""
    return x * jax.nn.sigmoid(1.702 * x)


ACTIVATIONS = {"gelu": gelu, "quick_gelu": quick_gelu}


class Dense(nn.Dense):
    """An nn.Dense of the tokens of all examples as one axis, which halves a CPU's gradient time."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return super().__call__(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], self.features)


class Mlp(nn.Module):
    """Two dense layers with an activation between them: [..., D]."""

    hidden: int
    dtype: jnp.dtype
    kernel_init: nn.initializers.Initializer = TRUNCATED_NORMAL
    activation: str = "gelu"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dense = {"dtype": self.dtype, "kernel_init": self.kernel_init}
        hidden = ACTIVATIONS[self.activation](Dense(self.hidden, name="fc1", **dense)(x))
        return Dense(x.shape[-1], name="fc2", **dense)(hidden)
