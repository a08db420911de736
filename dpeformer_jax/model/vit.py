"""Vision Transformer backbone (arXiv 2402.10435, section 3.1; ViT: arXiv 2010.11929).

Modules and parameters have timm's names, so that a plain table converts its weights.
"""

import math
from functools import partial
from typing import Any

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
    branch_factors,
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
        width = x.shape[-1]
        dense = {"dtype": self.dtype, "kernel_init": TRUNCATED_NORMAL}
        qkv = Dense(3 * width, name="qkv", **dense)(x)
        mixed = ATTENTIONS[self.attention](qkv, self.heads)
        return Dense(width, name="proj", **dense)(mixed)


class Block(nn.Module):
    """Pre-norm transformer block: [B, T, D]; dtype, attention: see VisionTransformer."""

    variant: Variant
    dtype: jnp.dtype
    attention: str

    @nn.compact
    def __call__(self, x: jax.Array, factors: jax.Array | None) -> jax.Array:
        """Returns the tokens. factors: [B, 2], see branch_factors; None (evaluation) for 1."""
        size = self.variant

        def branch(x: jax.Array, index: int) -> jax.Array:
            if size.layer_scale:
                start = nn.initializers.constant(LAYER_SCALE)
                x = x * self.param(f"ls{index + 1}", start, x.shape[-1:]).astype(x.dtype)
            return x if factors is None else x * factors[:, index, None, None].astype(x.dtype)

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
    instead of kept; attention: one of ATTENTIONS; scan: whether one compiled block computes all of
    them; trunk: whether to leave out the last block and the final norm, which a LastBlock computes
    then.
    """

    variant: Variant
    stride: int
    drop_path: float = 0.0
    sie_rows: int = 0
    sie_coefficient: float = 3.0
    dtype: jnp.dtype = jnp.float32
    remat: bool = False
    attention: str = "xla"
    scan: bool = False
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
        rates = [self.drop_path * depth / max(size.depth - 1, 1) for depth in range(size.depth)]
        factors = None if keys is None else branch_factors(keys, rates)
        x = self._blocks(x, factors)
        if self.trunk:
            return x
        return nn.LayerNorm(epsilon=size.epsilon, dtype=self.dtype, name="norm")(x)

    def _blocks(self, x: jax.Array, factors: jax.Array | None) -> jax.Array:
        """Runs the blocks one after the other; factors: [B, depth, 2]."""
        block = partial(nn.remat(Block) if self.remat else Block, self.variant, self.dtype)
        depths = range(self.variant.depth - self.trunk)
        if self.scan and not self.is_initializing():
            return self._scanned(block(self.attention, parent=None), depths, x, factors)
        for depth in depths:
            own = None if factors is None else factors[:, depth]
            x = block(self.attention, name=f"blocks_{depth}")(x, own)
        return x

    def _scanned(
        self, block: Block, depths: range, x: jax.Array, factors: jax.Array | None
    ) -> jax.Array:
        """Loops over the blocks' weights, stacked here so that checkpoints stay as they are."""
        weights = [self.variables["params"][f"blocks_{depth}"] for depth in depths]
        stacked = jax.tree.map(lambda *own: jnp.stack(own), *weights)
        if factors is not None:
            factors = factors[:, : len(depths)].swapaxes(0, 1)

        def step(x: jax.Array, own: Any) -> tuple[jax.Array, None]:
            params, own_factors = own
            return block.apply({"params": params}, x, own_factors), None

        return jax.lax.scan(step, x, (stacked, factors))[0]

    def _embed(self, images: jax.Array, camera_row: jax.Array | None) -> jax.Array:
        """Returns the tokens [B, S + N, D] with their places and cameras."""
        width, patch, special = self.variant.width, self.variant.patch, self.variant.special
        # In float32 whatever the dtype: it is 1 % of the products, and its gradient is summed so.
        conv = partial(nn.Conv, padding="VALID", kernel_init=TORCH_UNIFORM)
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
        factors = None if keys is None else branch_factors(keys, [self.drop_path])[:, 0]
        x = block(self.variant, self.dtype, self.attention, name="block")(x, factors)
        return nn.LayerNorm(epsilon=self.variant.epsilon, dtype=self.dtype, name="norm")(x)
