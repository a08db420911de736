"""A network in words: what a checkpoint must say for its weights to be usable on their own."""

from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.model.vit import VARIANTS, patch_grid

FIELDS = (
    "stride",
    "num_classes",
    "parts",
    "min_patches",
    "sides",
    "side_coefficient",
    "global_token",
    "pooling",
    "head_merge",
)
# The three of them by which the released program differs from the paper.
PRESETS = {
    "paper": {"global_token": "class", "pooling": "image", "head_merge": "image"},
    "released": {"global_token": "first_patch", "pooling": "batch", "head_merge": "batch"},
}

Description = dict[str, Any]  # JSON


def describe(model: DPEFormer, image_size: tuple[int, int]) -> Description:
    """All that `build_model` needs, and the (height, width) of its images in pixels."""
    (variant,) = (name for name, value in VARIANTS.items() if value == model.variant)
    fields = {name: getattr(model, name) for name in FIELDS}
    return {
        "variant": variant,
        "image_size": list(image_size),
        "dtype": jnp.dtype(model.dtype).name,
        **fields,
    }


def build_model(description: Description) -> DPEFormer:
    """The network for evaluation: without stochastic depth."""
    return DPEFormer(
        variant=VARIANTS[description["variant"]],
        dtype=jnp.dtype(description["dtype"]),
        **{name: description[name] for name in FIELDS},
    )


def grid_of(description: Description) -> tuple[int, int]:
    """Rows and columns of its patches."""
    variant = VARIANTS[description["variant"]]
    return patch_grid(tuple(description["image_size"]), variant.patch, description["stride"])


def shapes_of(description: Description) -> dict[str, tuple[int, ...]]:
    """Shapes of all arrays of the network, by path ("params/backbone/cls_token")."""
    image = jnp.zeros((1, *description["image_size"], 3))
    side = jnp.zeros(1, jnp.int32)
    model = build_model(description)
    variables = jax.eval_shape(model.init, jax.random.key(0), image, side)
    return {path: leaf.shape for path, leaf in flatten_dict(variables, sep="/").items()}
