"""Attention in one kernel an image, for TPUs: no [T, T] matrix and no reordered copy in memory.

XLA writes the logits of all heads to memory, in rows of 256 numbers where an image has 129 tokens,
and copies queries, keys and values into an order of its own. Here an image's packed projections
fit the chip's own memory; the kernel reads them and writes the mixed values, nothing else.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
from jax.experimental import pallas as pl
from jax.sharding import AxisType, PartitionSpec

from dpeformer_jax.model.plain_attention import gradient_of_heads, mixed_by, shares_of

Kernel = Callable[..., None]


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def fused_attention(qkv: jax.Array, heads: int) -> jax.Array:
    """Computes scaled dot-product attention from packed projections.

    qkv: [B, T, 3 D], queries, keys and values side by side; returns [B, T, D]. The products and
    what is between them are those of plain_attention; the gradient computes them again.
    """
    return _by_image(_mix, (qkv,), qkv.shape[-1] // 3, heads)


def _forward(qkv: jax.Array, heads: int) -> tuple[jax.Array, jax.Array]:
    return fused_attention(qkv, heads), qkv


def _gradient(heads: int, qkv: jax.Array, up: jax.Array) -> tuple[jax.Array]:
    return (_by_image(_mix_gradient, (qkv, up), qkv.shape[-1], heads),)


fused_attention.defvjp(_forward, _gradient)


def _mix(qkv: Any, mixed: Any, heads: int) -> None:
    """Writes the mixed values [1, T, D] of an image's projections [1, T, 3 D]."""
    for own, (query, key, value) in _heads_of(qkv, heads):
        mixed[0, :, own] = mixed_by(shares_of(query, key, value))


def _mix_gradient(qkv: Any, up: Any, gradient: Any, heads: int) -> None:
    """Writes the gradient [1, T, 3 D] from that of the mixed values [1, T, D]."""
    width = up.shape[-1]
    for own, parts in _heads_of(qkv, heads):
        gradients = gradient_of_heads(shares_of(*parts), up[0, :, own])
        for part, value in enumerate(gradients):
            gradient[0, :, own.start + part * width : own.stop + part * width] = value


def _heads_of(qkv: Any, heads: int) -> Iterator[tuple[slice, list[jax.Array]]]:
    """Yields each head's columns of D, and its query, key and value [T, d]."""
    width = qkv.shape[-1] // 3
    size = width // heads
    for first in range(0, width, size):
        starts = (first + part * width for part in range(3))
        yield slice(first, first + size), [qkv[0, :, x : x + size] for x in starts]


def _by_image(kernel: Kernel, inputs: tuple[jax.Array, ...], width: int, heads: int) -> jax.Array:
    """Runs a kernel on each image: inputs [B, T, D'] each, the result [B, T, width].

    A program of several devices runs it on each device's images.
    """

    def of_share(*shares: jax.Array) -> jax.Array:
        shapes = [*(x.shape for x in shares), (*shares[0].shape[:2], width)]
        images = [pl.BlockSpec((1, *shape[1:]), lambda image: (image, 0, 0)) for shape in shapes]
        return pl.pallas_call(
            partial(kernel, heads=heads),
            out_shape=jax.ShapeDtypeStruct(shapes[-1], shares[0].dtype),
            grid=(len(shares[0]),),
            in_specs=images[:-1],
            out_specs=images[-1],
            cost_estimate=_cost(shapes, heads, shares[0].dtype.itemsize),
        )(*shares)

    mesh = jax.sharding.get_abstract_mesh()
    if AxisType.Auto not in mesh.axis_types:  # of one device, or already of each device
        return of_share(*inputs)
    # A few images, as the one that a network is initialised with, are computed by every device.
    split = PartitionSpec(*([mesh.axis_names] if len(inputs[0]) % mesh.size == 0 else []))
    spread = jax.shard_map(of_share, in_specs=split, out_specs=split, check_vma=False)
    return spread(*inputs)


def _cost(shapes: list[tuple[int, ...]], heads: int, itemsize: int) -> pl.CostEstimate:
    """Returns what the kernel computes and moves: two products, or the gradient's five."""
    batch, tokens, packed = shapes[0]
    products = 2 if len(shapes) == 2 else 5
    return pl.CostEstimate(
        flops=products * 2 * batch * tokens**2 * packed // 3,
        transcendentals=batch * heads * tokens**2,
        bytes_accessed=sum(b * t * d for b, t, d in shapes) * itemsize,
    )
