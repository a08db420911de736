"""Other programs' names of a backbone's arrays, as tables that are read in both directions.

timm: timm's Vision Transformers, and checkpoints in their layout. part_tokens: the same with PASS's
tokens. clip: CLIP's image encoder. vit_jax: Google's Vision Transformers (.npz).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dpeformer_jax.conversion.entries import (
    BARE,
    CONV,
    DENSE,
    SAME,
    Entry,
    Transform,
    dense,
    norm,
)
from dpeformer_jax.model.families import end_paths
from dpeformer_jax.model.variants import Variant

BACKBONE = "params/backbone"
CLASS_TOKEN = Transform(lambda x: x[None, None], lambda x: x[0, 0])
CAMERA_ROWS = Transform(lambda x: x[:, None], lambda x: x[:, 0])


class End(NamedTuple):
    """Names of a last block and of the norm behind it, and the module of ours that has them.

    module: "backbone", or one of LAST_BLOCKS where the backbone is a trunk.
    """

    block: str
    norm: str
    module: str = "backbone"


def timm(
    variant: Variant, prefix: str = "", sie: bool = False, ends: Sequence[End] = ()
) -> list[Entry]:
    """Lists a backbone in timm's layout.

    prefix: of every name; "base." in the re-ID programs. sie: whether there is a side information
    embedding, which timm's own networks lack. ends: the last block and norm, where they are not
    the usual ones of the backbone.
    """
    tokens = [Entry(f"{prefix}pos_embed", f"{BACKBONE}/pos_embed")]
    if variant.special > 1:
        tokens.append(Entry(f"{prefix}reg_token", f"{BACKBONE}/part_tokens"))
    return tokens + _vit(variant, prefix, sie, ends)


def part_tokens(
    variant: Variant, prefix: str = "", sie: bool = False, ends: Sequence[End] = ()
) -> list[Entry]:
    """Lists a backbone with PASS's part tokens, of which each has its position apart."""
    special = variant.special
    table = [
        Entry(f"{prefix}pos_embed", f"{BACKBONE}/pos_embed", SAME, np.s_[:, special:]),
        Entry(f"{prefix}cls_pos", f"{BACKBONE}/pos_embed", SAME, np.s_[:, :1]),
    ]
    for part in range(1, special):
        token, place = np.s_[:, part - 1 : part], np.s_[:, part : part + 1]
        table.append(Entry(f"{prefix}part_token{part}", f"{BACKBONE}/part_tokens", SAME, token))
        table.append(Entry(f"{prefix}part{part}_pos", f"{BACKBONE}/pos_embed", SAME, place))
    return table + _vit(variant, prefix, sie, ends)


def _vit(variant: Variant, prefix: str, sie: bool, ends: Sequence[End]) -> list[Entry]:
    """Lists what has the same names with and without part tokens."""
    table = [
        Entry(f"{prefix}cls_token", f"{BACKBONE}/cls_token"),
        Entry(f"{prefix}patch_embed.proj.weight", f"{BACKBONE}/patch_embed/kernel", CONV),
    ]
    if sie:
        table.append(Entry(f"{prefix}sie_embed", f"{BACKBONE}/sie_embed"))
    if variant.patch_bias:
        table.append(Entry(f"{prefix}patch_embed.proj.bias", f"{BACKBONE}/patch_embed/bias"))
    if variant.pre_norm:
        table += norm(f"{prefix}norm_pre", f"{BACKBONE}/norm_pre")
    for i in range(variant.depth - 1):
        table += _vit_block(f"{prefix}blocks.{i}", f"{BACKBONE}/blocks_{i}", variant)
    for end in ends or [End(f"{prefix}blocks.{variant.depth - 1}", f"{prefix}norm")]:
        table += vit_end(variant, end)
    return table


def vit_end(variant: Variant, end: End) -> list[Entry]:
    """Lists a last block and its norm in timm's layout."""
    block, last_norm = end_paths(variant.depth, end.module)
    return [*_vit_block(end.block, block, variant), *norm(end.norm, last_norm)]


def _vit_block(key: str, path: str, variant: Variant) -> list[Entry]:
    table = [
        *norm(f"{key}.norm1", f"{path}/norm1"),
        *dense(f"{key}.attn.qkv", f"{path}/attn/qkv"),
        *dense(f"{key}.attn.proj", f"{path}/attn/proj"),
        *norm(f"{key}.norm2", f"{path}/norm2"),
        *dense(f"{key}.mlp.fc1", f"{path}/mlp/fc1"),
        *dense(f"{key}.mlp.fc2", f"{path}/mlp/fc2"),
    ]
    if variant.layer_scale:
        table += [Entry(f"{key}.ls{i}.gamma", f"{path}/ls{i}") for i in "12"]
    return table


def clip(variant: Variant, prefix: str, module: str, sie: bool = False) -> list[Entry]:
    """Lists CLIP's image encoder; its projection is no part of the backbone.

    prefix: of every name but the side information embedding's; module: see End.
    """
    blocks = f"{prefix}transformer.resblocks"
    last_block, last_norm = end_paths(variant.depth, module)
    table = [
        Entry(f"{prefix}class_embedding", f"{BACKBONE}/cls_token", CLASS_TOKEN),
        Entry(f"{prefix}positional_embedding", f"{BACKBONE}/pos_embed", BARE),
        Entry(f"{prefix}conv1.weight", f"{BACKBONE}/patch_embed/kernel", CONV),
        *norm(f"{prefix}ln_pre", f"{BACKBONE}/norm_pre"),
    ]
    if sie:
        table.append(Entry("cv_embed", f"{BACKBONE}/sie_embed", CAMERA_ROWS))
    for i in range(variant.depth - 1):
        table += _clip_block(f"{blocks}.{i}", f"{BACKBONE}/blocks_{i}")
    table += _clip_block(f"{blocks}.{variant.depth - 1}", last_block)
    return table + norm(f"{prefix}ln_post", last_norm)


def _clip_block(key: str, path: str) -> list[Entry]:
    return [
        *norm(f"{key}.ln_1", f"{path}/norm1"),
        Entry(f"{key}.attn.in_proj_weight", f"{path}/attn/qkv/kernel", DENSE),
        Entry(f"{key}.attn.in_proj_bias", f"{path}/attn/qkv/bias"),
        *dense(f"{key}.attn.out_proj", f"{path}/attn/proj"),
        *norm(f"{key}.ln_2", f"{path}/norm2"),
        *dense(f"{key}.mlp.c_fc", f"{path}/mlp/fc1"),
        *dense(f"{key}.mlp.c_proj", f"{path}/mlp/fc2"),
    ]


def vit_jax(variant: Variant) -> list[Entry]:
    """Lists a backbone in Google's layout: kernels lie as ours, attention is split by head."""
    root = "Transformer"
    table = [
        Entry("cls", f"{BACKBONE}/cls_token"),
        *_same("embedding", f"{BACKBONE}/patch_embed", "kernel"),
        Entry(f"{root}/posembed_input/pos_embedding", f"{BACKBONE}/pos_embed"),
        *_same(f"{root}/encoder_norm", f"{BACKBONE}/norm", "scale"),
    ]
    for i in range(variant.depth):
        key, path = f"{root}/encoderblock_{i}", f"{BACKBONE}/blocks_{i}"
        table += _same(f"{key}/LayerNorm_0", f"{path}/norm1", "scale")
        table += _vit_jax_attention(f"{key}/MultiHeadDotProductAttention_1", path, variant)
        table += _same(f"{key}/LayerNorm_2", f"{path}/norm2", "scale")
        table += _same(f"{key}/MlpBlock_3/Dense_0", f"{path}/mlp/fc1", "kernel")
        table += _same(f"{key}/MlpBlock_3/Dense_1", f"{path}/mlp/fc2", "kernel")
    return table


def _same(key: str, path: str, weight: str) -> list[Entry]:
    return [Entry(f"{key}/{x}", f"{path}/{x}") for x in (weight, "bias")]


def _vit_jax_attention(key: str, path: str, variant: Variant) -> list[Entry]:
    heads, width = variant.heads, variant.width
    split_out = Transform(lambda x: x.reshape(len(x), -1), lambda x: x.reshape(len(x), heads, -1))
    split_bias = Transform(np.ravel, lambda x: x.reshape(heads, -1))
    split_in = Transform(lambda x: x.reshape(-1, width), lambda x: x.reshape(heads, -1, width))
    table = [
        Entry(f"{key}/out/kernel", f"{path}/attn/proj/kernel", split_in),
        Entry(f"{key}/out/bias", f"{path}/attn/proj/bias"),
    ]
    for i, name in enumerate(("query", "key", "value")):
        third = (..., slice(i * width, (i + 1) * width))
        table.append(Entry(f"{key}/{name}/kernel", f"{path}/attn/qkv/kernel", split_out, third))
        table.append(Entry(f"{key}/{name}/bias", f"{path}/attn/qkv/bias", split_bias, third))
    return table
