"""Where the global token takes its content from: attention rollout and the last block's attention.

A network gives no attention weights. They follow from the queries and keys that its blocks compute,
which flax hands out by the names of the modules, so that no network computes more for being
explained.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.network import Network
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.variants import VARIANTS

LAST = "last"  # the module of the global token's last block, where the backbone is a trunk


class Attention(NamedTuple):
    """How much each patch counts for the global token.

    rollout: [B, N] over all blocks; last: [B, heads, N] in the last block alone. The shares of
    other tokens are left out, so that a row adds up to less than 1.
    """

    rollout: jax.Array
    last: jax.Array


def with_attention(
    network: Network, variables: Any, images: jax.Array, camera_row: jax.Array | None
) -> tuple[Outputs, Attention]:
    """Returns the outputs of images [B, H, W, 3] in evaluation, and the global token's attention.

    Rollout (arXiv 2005.00928, section 4): a block mixes half of what its attention gives, averaged
    over heads, with half of the token itself; the blocks are multiplied.
    """
    outputs, seen = network.apply(
        variables,
        images,
        camera_row,
        capture_intermediates=_is_qkv,
        mutable=["intermediates"],
    )
    size = VARIANTS[network.spec.variant]
    shares = [_shares(qkv, size.heads) for qkv in _in_order(seen["intermediates"], size.depth)]
    token = size.special if network.spec.global_token == "first_patch" else 0
    # What the global token takes from each token, from the last block down.
    mixed = jax.nn.one_hot(jnp.full(len(images), token), shares[0].shape[-1])
    for share in reversed(shares):
        mixed = 0.5 * mixed + 0.5 * jnp.einsum("bt,bts->bs", mixed, share.mean(axis=1))
    return outputs, Attention(mixed[:, size.special :], shares[-1][:, :, token, size.special :])


def _is_qkv(module: nn.Module, method: str) -> bool:
    return module.name == "qkv" and method == "__call__"


def _in_order(seen: Any, depth: int) -> list[jax.Array]:
    """Returns the queries, keys and values [B, T, 3 * D] of the blocks, the first block first."""
    trunk = seen["backbone"]
    blocks = [trunk[f"blocks_{place}"] for place in range(depth - (LAST in seen))]
    blocks += [seen[LAST]["block"]] if LAST in seen else []
    # The last of the calls: before it comes that of the layer's parent class.
    return [block["attn"]["qkv"]["__call__"][-1] for block in blocks]


def _shares(qkv: jax.Array, heads: int) -> jax.Array:
    """Returns attention weights [B, heads, T, T] from queries, keys and values [B, T, 3 * D]."""
    batch, tokens, _ = qkv.shape
    query, key, _ = jnp.moveaxis(qkv.reshape(batch, tokens, 3, heads, -1), 2, 0)
    query = query * query.shape[-1] ** -0.5
    logits = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32)
    return jax.nn.softmax(logits, axis=-1)
