"""Scaled dot-product attention, and the programs that compute it."""

from functools import partial

import jax
import jax.numpy as jnp


@jax.custom_vjp
def attend(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """Computes scaled dot-product attention: [B, T, heads, d] each, and the result.

    Products take the inputs' dtype and give float32, in which everything between them is computed.
    The gradient is written out so that this holds there too. Heads come before tokens and the
    division last, which halves a CPU's time against jax.nn.dot_product_attention.
    """
    return _attend(query, key, value)[0]


def _attend(*inputs: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    query, key, value = (x.swapaxes(1, 2) for x in inputs)
    query = query * query.shape[-1] ** -0.5
    logits = _product("bhqd,bhkd->bhqk", query, key)
    shares = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
    total = shares.sum(axis=-1, keepdims=True)
    shares = shares.astype(value.dtype)
    mixed = (_product("bhqk,bhkd->bhqd", shares, value) / total).astype(value.dtype)
    return mixed.swapaxes(1, 2), (query, key, value, shares, total)


def _attend_gradient(saved: tuple[jax.Array, ...], up: jax.Array) -> tuple[jax.Array, ...]:
    query, key, value, shares, total = saved
    dtype = value.dtype
    up = (up.swapaxes(1, 2) / total).astype(dtype)
    of_shares = _product("bhqd,bhkd->bhqk", up, value)
    of_total = (of_shares * shares).sum(axis=-1, keepdims=True) / total
    of_logits = (shares * (of_shares - of_total)).astype(dtype)
    gradients = (
        _product("bhqk,bhkd->bhqd", of_logits, key) * query.shape[-1] ** -0.5,
        _product("bhqk,bhqd->bhkd", of_logits, query),
        _product("bhqk,bhqd->bhkd", shares, up),
    )
    return tuple(x.astype(dtype).swapaxes(1, 2) for x in gradients)


attend.defvjp(_attend, _attend_gradient)
_product = partial(jnp.einsum, preferred_element_type=jnp.float32)


# By config.model.attention. cuDNN's never writes the [T, T] matrix; it is for bfloat16 on NVIDIA.
ATTENTIONS = {
    "xla": attend,
    "cudnn": partial(jax.nn.dot_product_attention, implementation="cudnn"),
}
