"""Kept patches on a picture, with Pillow alone: for what is drawn during a training."""

import numpy as np
from PIL import Image, ImageDraw

from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.pictures.patch_cells import cells

SCALE, FILL, LINE = 4, "#f0e44258", "#000000"  # pixels a pixel; a see-through yellow


def with_kept(pixels: np.ndarray, kept: np.ndarray, spec: NetworkSpec) -> Image.Image:
    """Returns a picture [H, W, 3], enlarged, with its kept patches [N] in yellow.

    What lies below stays to be seen, a kept occluder too.
    """
    height, width = pixels.shape[:2]
    size = width * SCALE, height * SCALE
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture, "RGBA")
    for left, top in SCALE * cells(spec)[kept]:
        end = SCALE * spec.stride - 1
        draw.rectangle((left, top, left + end, top + end), FILL, LINE)
    return picture
