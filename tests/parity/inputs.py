"""Compares the weights and images of the rule, and the resized position embedding."""

import numpy as np

from dpeformer_jax.conversion import network_names
from dpeformer_jax.conversion.entries import Entry
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.model.vit import resize_positions
from tests.parity import released
from tests.parity.comparison import Quantity, Rows, relative, unequal


def rule() -> list[Quantity]:
    """Compares sums over weights and images, which depend on every element, and names."""
    return [*_weights(), *_names(), *_images()]


def positions() -> list[Quantity]:
    """Compares the embedding of 14x14 patches, resized to the grids of stride 16 and stride 12."""
    source = released.rule("pos_embed", (1, 197, 768))
    rows = Rows("pos_embed_resize.npz")
    rows.add("14x14 patches, by the rule", 0, {"input_14x14": source})
    for grid in ((16, 8), (21, 10)):
        size = f"{grid[0]}x{grid[1]}"
        resized = resize_positions(source, (14, 14), grid)
        rows.add(f"resized to {size}", 5e-6, {f"output_{size}": resized})
    return rows


def _weights() -> Rows:
    rows = Rows("state_dict.npz")
    weights = [x.astype(np.float64).ravel() for x in released.state_dict().values()]
    squares = [np.square(x).sum() for x in weights]
    rows.add("weights, sums", 1e-6, {"rule_sum": [x.sum() for x in weights]})
    rows.add("weights, sums of squares", 1e-6, {"rule_sumsq": squares})
    rows.add("weights, first elements", 0, {"rule_first": [x[0] for x in weights]})
    return rows


def _names() -> Rows:
    """Compares the use and the kind of each array by its name in the released program."""
    table = network_names.dpeformer(VARIANTS["b16"], parts=4)
    rows = Rows("state_dict.npz")
    listed = rows.values["names"]
    counters = np.char.endswith(listed, "num_batches_tracked")  # our norms count no batches
    holistic = ("base.", *(f"bottleneck_local.{part}." for part in range(4)))
    used = {
        "used_train": [entry.key for entry in table],
        "used_eval": [entry.key for entry in table if "classifier" not in entry.key],
        "used_memory_only": [entry.key for entry in table if entry.key.startswith(holistic)],
    }
    ours = {key: np.isin(listed, names_) for key, names_ in used.items()}
    rows.add("weights, which are used", 0, ours, unequal, only=~counters)
    kinds = {entry.key: _kind(entry) for entry in table}
    kind = np.array([kinds.get(name, "") for name in listed])
    rows.add("weights, which are trained", 0, {"kind": kind}, unequal, only=kind != "")
    return rows


def _kind(entry: Entry) -> str:
    if entry.path.startswith("params/"):
        return "param"
    return "param_frozen" if entry.path.endswith("/bias") else "buffer"


def _images() -> list[Quantity]:
    clean, occluded = (x.transpose(0, 3, 1, 2) for x in released.views())
    main, train = Rows("backbone.npz"), Rows("dpeformer_train.npz")
    main.add("images, sums", 1e-9, {"image_check": _sums(clean)}, relative)
    main.add("images, samples", 0, {"image_sub": clean[:, :, ::32, ::16]})
    both = _sums(np.concatenate([clean, occluded], axis=1))
    train.add("images of both views, sums", 1e-9, {"input_check": both}, relative)
    train.add("images of view 2, samples", 0, {"view2_sub": occluded[:, :, ::32, ::16]})
    square = Rows("timm_vit224.npz")
    sums = _sums(released.images224()[None])[0]
    square.add("images for timm, sums", 1e-9, {"image_check": sums}, relative)
    return [*main, *train, *square]


def _sums(images: np.ndarray) -> np.ndarray:
    """Returns sum and sum of squares [B, 2] of each image."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    return np.stack([flat.sum(axis=1), np.square(flat).sum(axis=1)], axis=1)
