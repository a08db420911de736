"""Compares our backbone's tokens with timm's."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import Weights
from dpeformer_jax.conversion import formats, mapping, torch_files
from dpeformer_jax.model.vit import VARIANTS, VisionTransformer

IMAGES = 2
TOLERANCE = 1e-4  # of the largest token value; float32 differs by about 1e-6


def verify(weights: Weights, tell: Callable[[str], None]) -> None:
    """Tells the largest difference between our backbone's tokens and timm's on random images.

    Raises:
        UserError: the backbone is not whole, timm is not installed, or the difference is above
            TOLERANCE.
    """
    spec = weights.spec
    if spec is None or any("/backbone/" in name for name in weights.missing):
        raise UserError("--verify needs a whole backbone; leave it out")
    shape = (IMAGES, *spec.image_size, 3)
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    params = weights.variables["params"]["backbone"]
    ours = VisionTransformer(
        VARIANTS[spec.variant],
        spec.stride,
        sie_rows=spec.sie_rows,
        sie_coefficient=spec.sie_coefficient,
    )
    with jax.default_matmul_precision("highest"):
        tokens = jax.jit(ours.apply)({"params": params}, images, jnp.zeros(IMAGES, jnp.int32))
    flat = flatten_dict(weights.variables, sep="/")
    state = mapping.to_theirs(flat, formats.table_of("timm", spec))
    if spec.sie_rows:  # timm knows no cameras: all images are from the first
        state["pos_embed"] = state["pos_embed"] + spec.sie_coefficient * params["sie_embed"][:1]
    expected = torch_files.timm_tokens(state, spec, images)
    difference = np.abs(np.asarray(tokens) - expected).max()
    tell(f"largest difference from timm's tokens: {difference:.1e}")
    if not difference <= TOLERANCE * np.abs(expected).max():
        raise UserError("the tokens are not those of timm; nothing was written")
