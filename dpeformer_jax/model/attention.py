"""The programs that compute a block's attention, and which of them suits a device.

Each takes packed projections [B, T, 3 D] (queries, keys, values) and the number of heads, and
returns the mixed values [B, T, D].
"""

import functools
import logging

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

from dpeformer_jax.model.plain_attention import attend
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS

LOG = logging.getLogger(__name__)


def plain(qkv: jax.Array, heads: int) -> jax.Array:
    """Leaves the products to XLA, on any platform."""
    return attend(*_unpacked(qkv, heads)).reshape(*qkv.shape[:2], -1)


def cudnn(qkv: jax.Array, heads: int) -> jax.Array:
    """Takes cuDNN's fused attention, for bfloat16 on NVIDIA: no [T, T] matrix in memory.

    JAX 0.10 gives its gradient for even numbers of tokens alone, so an odd one gets a token that
    nobody attends to.
    """
    batch, tokens, _ = qkv.shape
    even = jnp.pad(qkv, ((0, 0), (0, tokens % 2), (0, 0)))
    lengths = jnp.full(batch, tokens, jnp.int32) if tokens % 2 else None
    mixed = jax.nn.dot_product_attention(
        *_unpacked(even, heads),
        query_seq_lengths=lengths,
        key_value_seq_lengths=lengths,
        implementation="cudnn",
    )
    return mixed.reshape(*even.shape[:2], -1)[:, :tokens]


def fused(qkv: jax.Array, heads: int) -> jax.Array:
    """Takes our kernel for TPUs."""
    from dpeformer_jax.model.fused_attention import fused_attention  # slow to load

    return fused_attention(qkv, heads)


def _unpacked(qkv: jax.Array, heads: int) -> tuple[jax.Array, ...]:
    """Returns query, key and value, [B, T, heads, d] each."""
    return tuple(jnp.moveaxis(qkv.reshape(*qkv.shape[:2], 3, heads, -1), 2, 0))


ATTENTIONS = {"xla": plain, "cudnn": cudnn, "fused": fused}
AUTO = "auto"


@functools.cache  # so that training and its feature pass warn once
def attention_for(spec: NetworkSpec, device: jax.Device, wanted: str = AUTO) -> str:
    """Returns which of ATTENTIONS a network takes on a device.

    wanted: one of them, or "auto" for the leanest. Where the device cannot compute it or its
    gradient, for this network's heads and tokens, a warning says why and "xla" is taken.
    """
    name = _leanest(device.platform, spec.dtype) if wanted == AUTO else wanted
    refusal = None if name == "xla" else _refusal(name, spec, device)
    if refusal is None:
        return name
    LOG.warning("attention is computed by 'xla' and not by '%s', which fails: %s", name, refusal)
    return "xla"


def _leanest(platform: str, dtype: str) -> str:
    if platform == "tpu":
        return "fused"
    return "cudnn" if (platform, dtype) == ("gpu", "bfloat16") else "xla"


def _refusal(name: str, spec: NetworkSpec, device: jax.Device) -> str | None:
    """Compiles the gradient for one image; returns why this fails, None where it does not."""
    size = VARIANTS[spec.variant]
    tokens = size.special + spec.grid[0] * spec.grid[1]
    one = jax.ShapeDtypeStruct(
        (1, tokens, 3 * size.width), spec.dtype, sharding=SingleDeviceSharding(device)
    )
    gradient = jax.grad(lambda qkv: ATTENTIONS[name](qkv, size.heads).astype(jnp.float32).sum())
    try:
        jax.jit(gradient).lower(one).compile()
    except Exception as error:  # the compilers' refusals have no class in common
        return str(error).partition("\n")[0]
    return None
