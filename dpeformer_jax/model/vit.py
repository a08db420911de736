"""Vision Transformer backbone (arXiv 2402.10435, section 3.1; ViT: arXiv 2010.11929).

Modules and parameters have timm's names, so that a plain table converts its weights.
"""

import dataclasses
import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

TRUNCATED_NORMAL = nn.initializers.truncated_normal(0.02)
fold_each = jax.vmap(jax.random.fold_in, (0, None))  # keys [B] and one number
# torch's default for a convolution: uniform in +- 1 / sqrt(fan_in).
TORCH_UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


@dataclasses.dataclass(frozen=True)
class Variant:
    """Size of a backbone; `patch` in pixels. The MLP is four times as wide as the tokens."""

    width: int
    depth: int
    heads: int
    patch: int


VARIANTS = {
    "b16": Variant(width=768, depth=12, heads=12, patch=16),
    "s16": Variant(width=384, depth=12, heads=6, patch=16),
    "ti16": Variant(width=192, depth=12, heads=3, patch=16),
    "l16": Variant(width=1024, depth=24, heads=16, patch=16),
    "b32": Variant(width=768, depth=12, heads=12, patch=32),
    "s32": Variant(width=384, depth=12, heads=6, patch=32),
    "l32": Variant(width=1024, depth=24, heads=16, patch=32),
    "nano8": Variant(width=64, depth=2, heads=4, patch=8),
    "mu": Variant(width=32, depth=2, heads=2, patch=16),
}


def patch_grid(image_size: tuple[int, int], patch: int, stride: int) -> tuple[int, int]:
    """Returns rows and columns of patches on an image of (height, width) pixels without padding."""
    height, width = image_size
    return (height - patch) // stride + 1, (width - patch) // stride + 1


def resize_positions(
    pos_embed: jax.Array, source: tuple[int, int], target: tuple[int, int]
) -> jax.Array:
    """Resizes a position embedding to another patch grid: [1, 1 + N, D] -> [1, 1 + N', D].

    The class token's row stays. The grid (rows, columns) is resized bilinearly with half-pixel
    centres and without antialiasing, as in the released program.
    """
    width = pos_embed.shape[-1]
    grid = pos_embed[:, 1:].reshape(1, *source, width)
    grid = jax.image.resize(grid, (1, *target, width), "bilinear", antialias=False)
    return jnp.concatenate([pos_embed[:, :1], grid.reshape(1, -1, width)], axis=1)


def drop_path(x: jax.Array, rate: float, keys: jax.Array) -> jax.Array:
    """Drops whole examples of a residual branch (stochastic depth, arXiv 1603.09382).

    x: [B, T, D]; keys: [B], one random key an example, so that the choice depends on the example
    and not on how the batch is spread over devices. Kept examples are divided by 1 - rate.
    """
    keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - rate))(keys)
    return jnp.where(keep[:, None, None], x / (1 - rate), 0)


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


@jax.checkpoint
def gelu(x: jax.Array) -> jax.Array:
    """Computes the exact GELU in torch's form; jax.nn.gelu, by erfc, takes a CPU twice the time.

    The gradient computes it again, which is cheaper than to write the erf down and read it.
    """
    wide = x.astype(jnp.float32)  # in bfloat16 the sum would lose what is near -1
    return (0.5 * wide * (1 + jax.lax.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


class Dense(nn.Dense):
    """An nn.Dense of the tokens of all examples as one axis, which halves a CPU's gradient time."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return super().__call__(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], self.features)


class Attention(nn.Module):
    """Multi-head self-attention with one projection for query, key and value: [B, T, D]."""

    heads: int
    dtype: jnp.dtype
    attention: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, tokens, width = x.shape
        dense = {"dtype": self.dtype, "kernel_init": TRUNCATED_NORMAL}
        qkv = Dense(3 * width, name="qkv", **dense)(x)
        q, k, v = jnp.moveaxis(qkv.reshape(batch, tokens, 3, self.heads, -1), 2, 0)
        mixed = ATTENTIONS[self.attention](q, k, v)
        return Dense(width, name="proj", **dense)(mixed.reshape(batch, tokens, width))


class Mlp(nn.Module):
    """Two dense layers with the exact (erf) GELU between them: [..., D]."""

    hidden: int
    dtype: jnp.dtype
    kernel_init: nn.initializers.Initializer = TRUNCATED_NORMAL

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dense = {"dtype": self.dtype, "kernel_init": self.kernel_init}
        hidden = gelu(Dense(self.hidden, name="fc1", **dense)(x))
        return Dense(x.shape[-1], name="fc2", **dense)(hidden)


class Block(nn.Module):
    """Pre-norm transformer block: [B, T, D]."""

    heads: int
    drop_path: float
    dtype: jnp.dtype
    attention: str

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        def dropped(branch: jax.Array, index: int) -> jax.Array:
            if keys is None or self.drop_path == 0:
                return branch
            return drop_path(branch, self.drop_path, fold_each(keys, index))

        def norm(name: str) -> nn.LayerNorm:
            # The gradient computes the norm again, or it would keep three float32 copies of x.
            return nn.remat(nn.LayerNorm)(epsilon=1e-6, dtype=self.dtype, name=name)

        attention = Attention(self.heads, self.dtype, self.attention, name="attn")
        x = x + dropped(attention(norm("norm1")(x)), 0)
        return x + dropped(Mlp(4 * x.shape[-1], self.dtype, name="mlp")(norm("norm2")(x)), 1)


class VisionTransformer(nn.Module):
    """ViT without a classifier; returns all tokens after the final norm.

    variant, stride, dtype: see NetworkSpec; drop_path: stochastic depth of the last block, which
    grows linearly from 0 in the first; sie_rows, sie_coefficient: rows, one a camera, and factor of
    the side information embedding (SIE, arXiv 2102.04378 section 3.3); remat: whether each block is
    computed again for its gradient, instead of kept; attention: one of ATTENTIONS.
    """

    variant: Variant
    stride: int
    drop_path: float = 0.0
    sie_rows: int = 0
    sie_coefficient: float = 3.0
    dtype: jnp.dtype = jnp.float32
    remat: bool = False
    attention: str = "xla"

    @nn.compact
    def __call__(
        self, images: jax.Array, camera_row: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Returns tokens [B, 1 + N, D], the class token first, then the patches in raster order.

        Args:
            images: [B, H, W, 3], normalised.
            camera_row: [B], row of the SIE for each image; needed where `sie_rows` is not 0.
            keys: [B] random keys for the stochastic depth; None (evaluation) drops nothing.
        """
        width, patch = self.variant.width, self.variant.patch
        conv = partial(nn.Conv, padding="VALID", dtype=self.dtype, kernel_init=TORCH_UNIFORM)
        patches = conv(width, (patch, patch), self.stride, name="patch_embed")(images)
        patches = patches.reshape(len(images), -1, width)
        cls_token = self.param("cls_token", TRUNCATED_NORMAL, (1, 1, width))
        x = jnp.concatenate([jnp.broadcast_to(cls_token, (len(images), 1, width)), patches], axis=1)
        x = x + self.param("pos_embed", TRUNCATED_NORMAL, (1, x.shape[1], width))
        if self.sie_rows:
            table = self.param("sie_embed", TRUNCATED_NORMAL, (self.sie_rows, 1, width))
            x = x + self.sie_coefficient * table[camera_row]
        x = x.astype(self.dtype)
        block = nn.remat(Block) if self.remat else Block
        for depth in range(self.variant.depth):
            rate = self.drop_path * depth / max(self.variant.depth - 1, 1)
            block_keys = None if keys is None else fold_each(keys, depth)
            fields = self.variant.heads, rate, self.dtype, self.attention
            x = block(*fields, name=f"blocks_{depth}")(x, block_keys)
        return nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="norm")(x)
