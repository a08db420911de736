"""Vision Transformer backbone (arXiv 2402.10435, section 3.1; ViT: arXiv 2010.11929).

Modules and parameters have timm's names, so that a plain table converts its weights.
"""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.model.attention import ATTENTIONS
from dpeformer_jax.model.layers import (
    TORCH_UNIFORM,
    TRUNCATED_NORMAL,
    Dense,
    Mlp,
    drop_path,
    fold_each,
)
from dpeformer_jax.model.variants import Variant

LAYER_SCALE = 1e-5  # at the start (arXiv 2304.07193)


def resize_positions(
    pos_embed: jax.Array, source: tuple[int, int], target: tuple[int, int]
) -> jax.Array:
    """Resizes a position embedding to another patch grid: [1, S + N, D] -> [1, S + N', D].

    The rows of the S special tokens stay. The grid (rows, columns) is resized bilinearly with
    half-pixel centres and without antialiasing, as in the released program.
    """
    width, special = pos_embed.shape[-1], pos_embed.shape[1] - math.prod(source)
    grid = pos_embed[:, special:].reshape(1, *source, width)
    grid = jax.image.resize(grid, (1, *target, width), "bilinear", antialias=False)
    return jnp.concatenate([pos_embed[:, :special], grid.reshape(1, -1, width)], axis=1)


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


class Block(nn.Module):
    """Pre-norm transformer block: [B, T, D].

    drop_path: rate of its stochastic depth; dtype, attention: see VisionTransformer.
    """

    variant: Variant
    drop_path: float
    dtype: jnp.dtype
    attention: str

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        size = self.variant

        def branch(x: jax.Array, index: int) -> jax.Array:
            if size.layer_scale:
                start = nn.initializers.constant(LAYER_SCALE)
                x = x * self.param(f"ls{index + 1}", start, x.shape[-1:]).astype(x.dtype)
            if keys is None or self.drop_path == 0:
                return x
            return drop_path(x, self.drop_path, fold_each(keys, index))

        def norm(name: str) -> nn.LayerNorm:
            # The gradient computes the norm again, or it would keep three float32 copies of x.
            return nn.remat(nn.LayerNorm)(epsilon=size.epsilon, dtype=self.dtype, name=name)

        attention = Attention(size.heads, self.dtype, self.attention, name="attn")
        mlp = Mlp(4 * x.shape[-1], self.dtype, activation=size.activation, name="mlp")
        x = x + branch(attention(norm("norm1")(x)), 0)
        return x + branch(mlp(norm("norm2")(x)), 1)


class VisionTransformer(nn.Module):
    """ViT without a classifier; returns all tokens after the final norm.

    variant, stride, dtype: see NetworkSpec; drop_path: stochastic depth of the last block, which
    grows linearly from 0 in the first; sie_rows, sie_coefficient: rows, one a camera, and factor of
    the side information embedding (SIE, arXiv 2102.04378 section 3.3); sie_on: the tokens that it
    is added to, "all" or "class"; remat: whether each block is computed again for its gradient,
    instead of kept; attention: one of ATTENTIONS; trunk: whether to leave out the last block and
    the final norm, which a LastBlock computes then.
    """

    variant: Variant
    stride: int
    drop_path: float = 0.0
    sie_rows: int = 0
    sie_coefficient: float = 3.0
    dtype: jnp.dtype = jnp.float32
    remat: bool = False
    attention: str = "xla"
    sie_on: str = "all"
    trunk: bool = False

    @nn.compact
    def __call__(
        self, images: jax.Array, camera_row: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Returns tokens [B, S + N, D]: class token, other special ones, patches in raster order.

        Args:
            images: [B, H, W, 3], normalised.
            camera_row: [B], row of the SIE for each image; needed where `sie_rows` is not 0.
            keys: [B] random keys for the stochastic depth; None (evaluation) drops nothing.

        Raises UserError where `camera_row` is missing.
        """
        if self.sie_rows and camera_row is None:
            raise UserError(f"the network embeds {self.sie_rows} cameras; give camera_row, [B]")
        size = self.variant
        x = self._embed(images, camera_row)
        if size.pre_norm:
            x = nn.LayerNorm(epsilon=size.epsilon, dtype=self.dtype, name="norm_pre")(x)
        x = x.astype(self.dtype)
        block = nn.remat(Block) if self.remat else Block
        for depth in range(size.depth - self.trunk):
            rate = self.drop_path * depth / max(size.depth - 1, 1)
            block_keys = None if keys is None else fold_each(keys, depth)
            fields = size, rate, self.dtype, self.attention
            x = block(*fields, name=f"blocks_{depth}")(x, block_keys)
        if self.trunk:
            return x
        return nn.LayerNorm(epsilon=size.epsilon, dtype=self.dtype, name="norm")(x)

    def _embed(self, images: jax.Array, camera_row: jax.Array | None) -> jax.Array:
        """Returns the tokens [B, S + N, D] with their places and cameras."""
        width, patch, special = self.variant.width, self.variant.patch, self.variant.special
        conv = partial(nn.Conv, padding="VALID", dtype=self.dtype, kernel_init=TORCH_UNIFORM)
        fields = {"use_bias": self.variant.patch_bias, "name": "patch_embed"}
        patches = conv(width, (patch, patch), self.stride, **fields)(images)
        patches = patches.reshape(images.shape[0], -1, width)
        tokens = self.param("cls_token", TRUNCATED_NORMAL, (1, 1, width))
        if special > 1:
            others = self.param("part_tokens", TRUNCATED_NORMAL, (1, special - 1, width))
            tokens = jnp.concatenate([tokens, others], axis=1)
        tokens = jnp.broadcast_to(tokens, (images.shape[0], special, width))
        x = jnp.concatenate([tokens, patches], axis=1)
        x = x + self.param("pos_embed", TRUNCATED_NORMAL, (1, x.shape[1], width))
        if not self.sie_rows:
            return x
        table = self.param("sie_embed", TRUNCATED_NORMAL, (self.sie_rows, 1, width))
        camera = self.sie_coefficient * table[camera_row]
        return x.at[:, :1].add(camera) if self.sie_on == "class" else x + camera


class LastBlock(nn.Module):
    """The last block and the final norm of a VisionTransformer whose `trunk` lacks them."""

    variant: Variant
    drop_path: float
    dtype: jnp.dtype
    remat: bool
    attention: str

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None = None) -> jax.Array:
        """Returns tokens [B, T, D]. x: [B, T, D]; keys: [B], see VisionTransformer."""
        block = nn.remat(Block) if self.remat else Block
        depth = self.variant.depth - 1
        keys = None if keys is None else fold_each(keys, depth)
        x = block(self.variant, self.drop_path, self.dtype, self.attention, name="block")(x, keys)
        return nn.LayerNorm(epsilon=self.variant.epsilon, dtype=self.dtype, name="norm")(x)
