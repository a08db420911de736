"""Other programs' names of our parameters, as tables that are read in both directions.

timm: timm's Vision Transformers, and checkpoints in their layout. dpeformer: the released program
of arXiv 2402.10435. vit_jax: Google's Vision Transformers (.npz).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dpeformer_jax.model.vit import Variant


class Transform(NamedTuple):
    """Changes of layout, from theirs to ours and back."""

    ours: Callable[[np.ndarray], np.ndarray]
    theirs: Callable[[np.ndarray], np.ndarray]


SAME = Transform(lambda x: x, lambda x: x)
DENSE = Transform(np.transpose, np.transpose)  # [out, in] -> [in, out]
CONV = Transform(lambda x: x.transpose(2, 3, 1, 0), lambda x: x.transpose(3, 2, 0, 1))  # from OIHW
ROW = Transform(lambda x: x[0], lambda x: x[None])


class Entry(NamedTuple):
    """One array of another program, and its place among ours.

    key: its name there; path: of our array, levels joined by "/"; slot: index of its place in our
    array, where several of theirs make up one of ours.
    """

    key: str
    path: str
    transform: Transform = SAME
    slot: tuple = ()


def _dense(key: str, path: str, bias: bool = True, slot: tuple = ()) -> list[Entry]:
    kernel = Entry(f"{key}.weight", f"{path}/kernel", DENSE, slot)
    return [kernel, Entry(f"{key}.bias", f"{path}/bias", SAME, slot)] if bias else [kernel]


def _norm(key: str, path: str, slot: tuple = ()) -> list[Entry]:
    names = {"weight": "scale", "bias": "bias"}
    return [Entry(f"{key}.{x}", f"{path}/{ours}", SAME, slot) for x, ours in names.items()]


def _block(key: str, path: str) -> list[Entry]:
    return [
        *_norm(f"{key}.norm1", f"{path}/norm1"),
        *_dense(f"{key}.attn.qkv", f"{path}/attn/qkv"),
        *_dense(f"{key}.attn.proj", f"{path}/attn/proj"),
        *_norm(f"{key}.norm2", f"{path}/norm2"),
        *_dense(f"{key}.mlp.fc1", f"{path}/mlp/fc1"),
        *_dense(f"{key}.mlp.fc2", f"{path}/mlp/fc2"),
    ]


def timm(variant: Variant, prefix: str = "", sie: bool = False, last: str = "") -> list[Entry]:
    """Lists a backbone in timm's layout.

    prefix: of every name; "base." in the released programs. sie: whether there is a side
    information embedding, which timm's own networks lack. last: name of the last block and norm
    where they are apart: "b1" in TransReID, whose jigsaw branch trains a copy of both.
    """
    ours = "params/backbone/"
    blocks, norm = [f"{prefix}blocks.{i}" for i in range(variant.depth)], f"{prefix}norm"
    if last:
        blocks[-1], norm = f"{last}.0", f"{last}.1"
    embeddings = ["cls_token", "pos_embed", *(["sie_embed"] if sie else [])]
    return [
        *(Entry(f"{prefix}{name}", f"{ours}{name}") for name in embeddings),
        Entry(f"{prefix}patch_embed.proj.weight", f"{ours}patch_embed/kernel", CONV),
        Entry(f"{prefix}patch_embed.proj.bias", f"{ours}patch_embed/bias"),
        *(e for i, key in enumerate(blocks) for e in _block(key, f"{ours}blocks_{i}")),
        *_norm(norm, f"{ours}norm"),
    ]


def dpeformer(variant: Variant, parts: int, sie: bool = False) -> list[Entry]:
    """Lists the whole network; `parts` is 4 in the released program."""
    table = timm(variant, "base.", sie)
    for part in range(parts):
        slot, local = (part,), parts + part
        table += _blending(f"attention_global.{part}", slot)
        table += _part_norm(f"bottleneck_local.{part}", "holistic_norm", slot)
        table += _part_norm(f"bottleneck_local.{local}", "part_norm", slot)
        table += _dense(f"classifier_local.{local}", "params/part_classifier", False, slot)
    table += _dense("classifier1", "params/holistic_classifier", bias=False)
    table += _dense("classifier1_4", "params/blended_classifier", bias=False)
    return table + _dense("classifier3", "params/global_classifier", bias=False)


def _blending(key: str, slot: tuple) -> list[Entry]:
    ours, block = "params/blending", f"{key}.Block"
    return [
        Entry(f"{key}.pos_embed", f"{ours}/pos_embed", ROW, slot),
        *(e for i in "123" for e in _norm(f"{block}.norm{i}", f"{ours}/norm{i}", slot)),
        *_dense(f"{block}.attn.q", f"{ours}/q", False, slot),
        *_dense(f"{block}.attn.kv", f"{ours}/kv", False, slot),
        *_dense(f"{block}.attn.proj", f"{ours}/proj", slot=slot),
        *_dense(f"{block}.mlp.fc1", f"{ours}/mlp/fc1", slot=slot),
        *_dense(f"{block}.mlp.fc2", f"{ours}/mlp/fc2", slot=slot),
    ]


def _part_norm(key: str, name: str, slot: tuple) -> list[Entry]:
    return [
        Entry(f"{key}.weight", f"params/{name}/scale", SAME, slot),
        Entry(f"{key}.bias", f"batch_stats/{name}/bias", SAME, slot),
        Entry(f"{key}.running_mean", f"batch_stats/{name}/mean", SAME, slot),
        Entry(f"{key}.running_var", f"batch_stats/{name}/var", SAME, slot),
    ]


def vit_jax(variant: Variant) -> list[Entry]:
    """Lists a backbone in Google's layout: kernels lie as ours, attention is split by head."""
    ours, root = "params/backbone", "Transformer"
    table = [
        Entry("cls", f"{ours}/cls_token"),
        *_same("embedding", f"{ours}/patch_embed", "kernel"),
        Entry(f"{root}/posembed_input/pos_embedding", f"{ours}/pos_embed"),
        *_same(f"{root}/encoder_norm", f"{ours}/norm", "scale"),
    ]
    for i in range(variant.depth):
        key, path = f"{root}/encoderblock_{i}", f"{ours}/blocks_{i}"
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
