"""Weights and inputs of the golden numbers, and how the released program names our parameters.

The numbers come from running the authors' PyTorch program on weights and images made by a rule
from their names; see the README beside the golden files. DPEFORMER_GOLDEN names their folder.
"""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(os.environ.get("DPEFORMER_GOLDEN", "../shared/golden"))
SMALL_GOLDEN = Path(__file__).parent / "golden"  # the files that the repository carries itself
IMAGE_PATCHES = (10, 40, 30, 52, 64, 16, 36, 26)
IMAGE_NOISE = (0.3, 0.3, 0.3, 0.3, 0.3, 0.8, 0.3, 0.3)


def golden(name: str) -> dict[str, np.ndarray]:
    """The arrays of one file; skips the test where neither folder has it."""
    for folder in (SMALL_GOLDEN, GOLDEN):
        if (folder / name).exists():
            with np.load(folder / name, allow_pickle=False) as file:
                return dict(file)
    pytest.skip(f"{name} is not in tests/golden and DPEFORMER_GOLDEN names no folder with it")


def rule(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weight that the rule gives a state_dict entry; the first matching line wins."""
    normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
    one, half = np.float32(1), np.float32(0.5)
    if name.endswith("running_var"):
        return half + half * np.abs(normal)
    if name.endswith("running_mean"):
        return np.float32(0.1) * normal
    if name.endswith(("pos_embed", "cls_token", "sie_embed")):
        return np.float32(0.2) * normal
    if name.endswith("bias"):
        return np.float32(0.02) * normal
    if len(shape) == 1:
        return one + np.float32(0.1) * normal
    for part, factor in (("attention_global", 0.3), ("patch_embed", 0.1), ("qkv", 0.05)):
        if part in name:
            return np.float32(factor) * normal
    return np.float32(0.02) * normal


def memory_bank() -> np.ndarray:
    """[702, 3072], the rule's normal numbers as they are."""
    rng = np.random.default_rng(zlib.crc32(b"memory.features"))
    return rng.standard_normal((702, 3072), np.float32)


def images() -> np.ndarray:
    """The main batch [8, 256, 128, 3]."""
    rng = np.random.default_rng(zlib.crc32(b"images5"))
    tiles = rng.uniform(-1, 1, (8, 2, 3, 16, 16)).astype(np.float32)
    noise = rng.uniform(-1, 1, (8, 3, 256, 128)).astype(np.float32)
    pattern = np.empty_like(noise)
    for b, patches in enumerate(IMAGE_PATCHES):
        for patch in range(128):
            y, x = divmod(patch, 8)
            tile = tiles[b, 0 if patch < patches else 1]
            pattern[b, :, 16 * y : 16 * y + 16, 16 * x : 16 * x + 16] = tile
    amplitude = np.array(IMAGE_NOISE)[:, None, None, None]
    mixed = (1 - amplitude).astype(np.float32) * pattern + amplitude.astype(np.float32) * noise
    return mixed.transpose(0, 2, 3, 1)


def _dense(name: str, outputs: int, inputs: int, bias: bool = True) -> dict[str, np.ndarray]:
    kernel = {"kernel": rule(f"{name}.weight", (outputs, inputs)).T}
    return kernel | ({"bias": rule(f"{name}.bias", (outputs,))} if bias else {})


def _norm(name: str, width: int) -> dict[str, np.ndarray]:
    return {"scale": rule(f"{name}.weight", (width,)), "bias": rule(f"{name}.bias", (width,))}


def backbone(prefix: str = "base.", width: int = 768, depth: int = 12) -> dict:
    """Parameters of the B/16 backbone on 256 x 128."""
    kernel = rule(f"{prefix}patch_embed.proj.weight", (width, 3, 16, 16)).transpose(2, 3, 1, 0)
    params = {
        "cls_token": rule(f"{prefix}cls_token", (1, 1, width)),
        "pos_embed": rule(f"{prefix}pos_embed", (1, 129, width)),
        "patch_embed": {
            "kernel": kernel,
            "bias": rule(f"{prefix}patch_embed.proj.bias", (width,)),
        },
        "norm": _norm(f"{prefix}norm", width),
    }
    for i in range(depth):
        block = f"{prefix}blocks.{i}."
        params[f"blocks_{i}"] = {
            "norm1": _norm(block + "norm1", width),
            "attn": {
                "qkv": _dense(block + "attn.qkv", 3 * width, width),
                "proj": _dense(block + "attn.proj", width, width),
            },
            "norm2": _norm(block + "norm2", width),
            "mlp": {
                "fc1": _dense(block + "mlp.fc1", 4 * width, width),
                "fc2": _dense(block + "mlp.fc2", width, 4 * width),
            },
        }
    return params


def _blending(part: int) -> dict:
    name = f"attention_global.{part}."
    block = name + "Block."
    return {
        "pos_embed": rule(name + "pos_embed", (1, 48, 16))[0],
        "norm1": _norm(block + "norm1", 16),
        "norm2": _norm(block + "norm2", 16),
        "norm3": _norm(block + "norm3", 16),
        "q": _dense(block + "attn.q", 16, 16, bias=False),
        "kv": _dense(block + "attn.kv", 32, 16, bias=False),
        "proj": _dense(block + "attn.proj", 16, 16),
        "mlp": {
            "fc1": _dense(block + "mlp.fc1", 16, 16),
            "fc2": _dense(block + "mlp.fc2", 16, 16),
        },
    }


def _stacked(trees: list[dict]) -> dict:
    first = trees[0]
    if not isinstance(first, dict):
        return np.stack(trees)
    return {key: _stacked([tree[key] for tree in trees]) for key in first}


def _part_norm(numbers: range) -> tuple[dict, dict]:
    def entries(field: str) -> np.ndarray:
        return np.stack([rule(f"bottleneck_local.{i}.{field}", (768,)) for i in numbers])

    stats = {"mean": "running_mean", "var": "running_var", "bias": "bias"}
    return {"scale": entries("weight")}, {ours: entries(theirs) for ours, theirs in stats.items()}


def dpeformer(num_classes: int = 702) -> dict:
    """Variables of the whole network under the rule."""
    holistic, holistic_stats = _part_norm(range(0, 4))
    part, part_stats = _part_norm(range(4, 8))
    local = [rule(f"classifier_local.{i}.weight", (num_classes, 768)).T for i in range(4, 8)]
    params = {
        "backbone": backbone(),
        "blending": _stacked([_blending(i) for i in range(4)]),
        "holistic_norm": holistic,
        "part_norm": part,
        "holistic_classifier": _dense("classifier1", num_classes, 3072, bias=False),
        "blended_classifier": _dense("classifier1_4", num_classes, 3072, bias=False),
        "global_classifier": _dense("classifier3", num_classes, 768, bias=False),
        "part_classifier": {"kernel": np.stack(local)},
    }
    stats = {"holistic_norm": holistic_stats, "part_norm": part_stats}
    return {"params": params, "batch_stats": stats}
