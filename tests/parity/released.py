"""Golden numbers of the authors' released program, and the weights and images behind them.

Weights and images follow a rule from their names, so that no data must travel; see the README
beside the golden files. DPEFORMER_GOLDEN names the folder of the complete files; tests/golden holds
a part of each.
"""

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import unflatten_dict

from dpeformer_jax.conversion import names, network_names
from dpeformer_jax.conversion.entries import Entry
from dpeformer_jax.conversion.mapping import Arrays, shapes_of_theirs, to_ours
from dpeformer_jax.model.families import shapes_of
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("DPEFORMER_GOLDEN", ROOT / "../shared/golden"))
SUBSET = ROOT / "tests/golden"
IMAGE_PATCHES = (10, 40, 30, 52, 64, 16, 36, 26)
IMAGE_NOISE = (0.3, 0.3, 0.3, 0.3, 0.3, 0.8, 0.3, 0.3)
# (top, bottom, left, right) of the rectangle that view 2 replaces in each image.
RECTANGLES = (
    (0, 0, 0, 0),
    (16, 64, 32, 96),
    (128, 256, 0, 128),
    (32, 80, 48, 128),
    (64, 112, 0, 64),
    (160, 224, 16, 112),
    (0, 32, 64, 128),
    (100, 150, 20, 90),
)


def golden(name: str) -> Arrays:
    """Reads the arrays of a complete golden file or, where it is absent, of its part."""
    folder = FOLDER if (FOLDER / name).exists() else SUBSET
    with np.load(folder / name, allow_pickle=False) as file:
        return dict(file)


def rule(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the weight of a state_dict entry; the first line that matches its name counts."""
    normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
    one, half = np.float32(1), np.float32(0.5)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var"):
        return half + half * np.abs(normal)
    if name.endswith("running_mean"):
        return np.float32(0.1) * normal
    if name.endswith(("pos_embed", "cls_token", "sie_embed")):
        return np.float32(0.2) * normal
    if name.endswith(".param"):
        return half * normal
    if name.endswith("bias"):
        return np.float32(0.02) * normal
    if len(shape) == 1:
        return one + np.float32(0.1) * normal
    for part, factor in (("attention_global", 0.3), ("patch_embed", 0.1), ("qkv", 0.05)):
        if part in name:
            return np.float32(factor) * normal
    return np.float32(0.02) * normal


def memory_bank() -> np.ndarray:
    """Returns the memory bank [702, 3072], the rule's normal numbers without a factor."""
    rng = np.random.default_rng(zlib.crc32(b"memory.features"))
    return rng.standard_normal((702, 3072), np.float32)


def images(
    tag: str = "images5",
    patches: tuple[int, ...] = IMAGE_PATCHES,
    noises: tuple[float, ...] = IMAGE_NOISE,
    size: tuple[int, int] = (256, 128),
) -> np.ndarray:
    """Returns images [B, H, W, 3] of two kinds of tile and noise.

    Args:
        tag: seeds the random numbers.
        patches: [B] number of patches, in raster order, that show the first tile.
        noises: [B] share of the noise.
        size: (height, width) in pixels.
    """
    height, width = size
    count, columns = len(patches), width // 16
    rng = np.random.default_rng(zlib.crc32(tag.encode()))
    tiles = rng.uniform(-1, 1, (count, 2, 3, 16, 16)).astype(np.float32)
    noise = rng.uniform(-1, 1, (count, 3, height, width)).astype(np.float32)
    pattern = np.empty_like(noise)
    for b, first in enumerate(patches):
        for patch in range(height // 16 * columns):
            y, x = (16 * place for place in divmod(patch, columns))
            pattern[b, :, y : y + 16, x : x + 16] = tiles[b, 0 if patch < first else 1]
    amplitude = np.array(noises)[:, None, None, None]
    mixed = (1 - amplitude).astype(np.float32) * pattern + amplitude.astype(np.float32) * noise
    return mixed.transpose(0, 2, 3, 1)


def images224() -> np.ndarray:
    """Returns the images [2, 224, 224, 3] for timm's network."""
    return images("images224", (100, 37), (0.3, 0.3), (224, 224))


def views() -> np.ndarray:
    """Returns the main batch and its copy with rectangles of noise: [2, 8, 256, 128, 3]."""
    clean = images()
    rng = np.random.default_rng(zlib.crc32(b"images5_view2"))
    noise = rng.uniform(-1, 1, (8, 3, 256, 128)).astype(np.float32).transpose(0, 2, 3, 1)
    hidden = clean.copy()
    for b, (top, bottom, left, right) in enumerate(RECTANGLES):
        hidden[b, top:bottom, left:right] = noise[b, top:bottom, left:right]
    return np.stack([clean, hidden])


def state_dict() -> Arrays:
    """Returns all 459 entries of the released program's state_dict."""
    listed = golden("state_dict.npz")
    return by_rule(listed["names"], listed["shapes"])


def by_rule(names_: np.ndarray, shapes: np.ndarray) -> Arrays:
    """Returns the weights of these names; shapes: as golden files hold them, "768 3 16 16"."""
    return {
        str(name): rule(str(name), tuple(map(int, shape.split())))
        for name, shape in zip(names_, shapes, strict=True)
    }


def network(**changes) -> NetworkSpec:
    """Defines the released program's network, which computes as in the paper unless changed."""
    size = {"variant": "b16", "image_size": (256, 128), "stride": 16, "num_classes": 702}
    return NetworkSpec(**size | changes)


def backbone(**changes) -> dict[str, Any]:
    """Returns the parameters of the backbone alone, by the rule for bare names."""
    spec = network(**changes)
    table = names.timm(VARIANTS[spec.variant], "", bool(spec.sie_rows))
    return _variables(table, spec)["params"]["backbone"]


def dpeformer() -> dict[str, Any]:
    """Returns the variables of the whole network, by the rule for full names."""
    return _variables(network_names.dpeformer(VARIANTS["b16"], parts=4), network())


def _variables(table: list[Entry], spec: NetworkSpec) -> dict[str, Any]:
    shapes = shapes_of(spec)
    theirs = {key: rule(key, shape) for key, shape in shapes_of_theirs(table, shapes).items()}
    return unflatten_dict(to_ours(theirs, table, shapes), sep="/")
