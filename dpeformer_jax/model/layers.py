"""Pieces of transformer blocks: dense layers, activations, stochastic depth, initialisers."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.recomputing import recomputed_from

TRUNCATED_NORMAL = nn.initializers.truncated_normal(0.02)
# torch's default for a convolution: uniform in +- 1 / sqrt(fan_in).
TORCH_UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
fold_each = jax.vmap(jax.random.fold_in, (0, None))  # keys [B] and one number


def branch_factors(keys: jax.Array, rates: Sequence[float]) -> jax.Array:
    """Draws the factors of blocks' residual branches (stochastic depth, arXiv 1603.09382).

    A branch of an example is dropped with its block's rate, or else divided by 1 - rate.

    Args:
        keys: [B], one random key an example, so that a choice depends on the example and not on how
            the batch is spread over devices. One draw serves all blocks.
        rates: of each block.

    Returns:
        [B, depth, 2] float32, for the two branches of each block.
    """
    rates = jnp.array(rates)[:, None]
    draws = jax.vmap(lambda key: jax.random.uniform(key, (len(rates), 2)))(keys)
    return jnp.where(draws >= rates, 1 / (1 - rates), 0)


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


def identity(x: jax.Array) -> jax.Array:
    """Returns x."""
    return x


ACTIVATIONS = {"gelu": gelu, "quick_gelu": quick_gelu}
Activation = Callable[[jax.Array], jax.Array]


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def project(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None, activation: Activation
) -> jax.Array:
    """Computes activation(x) @ kernel + bias in the dtype of x; the gradient keeps x alone.

    x: [..., D]; kernel: [D, F]; bias: [F] or None; returns [..., F]. The gradients of kernel and
    bias stay float32 from the sum over examples on. Otherwise devices that share a batch would
    round each partial sum to bfloat16 and add those.
    """
    mapped = activation(x) @ kernel.astype(x.dtype)
    return mapped if bias is None else mapped + bias.astype(x.dtype)


def _project_forward(*inputs: Any) -> tuple[jax.Array, tuple[jax.Array | None, ...]]:
    return project(*inputs), inputs[:3]


def _project_gradient(
    activation: Activation, inputs: tuple[jax.Array | None, ...], up: jax.Array
) -> tuple[jax.Array | None, ...]:
    x, kernel, bias = inputs
    x, up = recomputed_from(x, up)
    activated, of_activated = jax.vjp(activation, x)
    # Examples and tokens as one axis halve a CPU's time; on a TPU this would copy both arrays.
    of_kernel = jax.lax.platform_dependent(
        activated, up, cpu=lambda *both: _summed(*map(_as_rows, both)), default=_summed
    )
    of_bias = None if bias is None else _as_rows(up).sum(axis=0, dtype=bias.dtype)
    return *of_activated(up @ kernel.T.astype(up.dtype)), of_kernel, of_bias


def _summed(x: jax.Array, up: jax.Array) -> jax.Array:
    return jnp.einsum("...d,...f->df", x, up, preferred_element_type=jnp.float32)


def _as_rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


project.defvjp(_project_forward, _project_gradient)


class Dense(nn.Module):
    """A dense layer of activated inputs, [..., D] to [..., features]; see `project`."""

    features: int
    dtype: jnp.dtype
    kernel_init: nn.initializers.Initializer = TRUNCATED_NORMAL
    use_bias: bool = True
    activation: Activation = identity

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width, zeros = x.shape[-1], nn.initializers.zeros
        kernel = self.param("kernel", self.kernel_init, (width, self.features))
        bias = self.param("bias", zeros, (self.features,)) if self.use_bias else None
        # A custom gradient within vmap takes no NumPy array.
        kernel, bias = jax.tree.map(jnp.array, (kernel, bias))
        return project(x.astype(self.dtype), kernel, bias, self.activation)


class Mlp(nn.Module):
    """Two dense layers with an activation between them: [..., D]."""

    hidden: int
    dtype: jnp.dtype
    kernel_init: nn.initializers.Initializer = TRUNCATED_NORMAL
    activation: str = "gelu"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dense = {"dtype": self.dtype, "kernel_init": self.kernel_init}
        hidden = Dense(self.hidden, name="fc1", **dense)(x)
        activation = ACTIVATIONS[self.activation]
        return Dense(x.shape[-1], name="fc2", activation=activation, **dense)(hidden)
