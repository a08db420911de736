"""Cut-outs for the realistic occlusion augmentation: a folder of them, or drawn ones."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from data.errors import DataError
from data.rendering import KINDS, draw_occluder

DRAWN = 96  # cut-outs in a drawn bank
DRAWN_SEED = 7  # not the seed of any data set, whose occluders are drawn by the same code
TALL = 2.0  # height / width above which a cut-out stands beside the person
JPEG_BLACK = 16  # a JPEG's transparent black is blurred by compression


class Cutouts(NamedTuple):
    """images: [M, h, w, 4] uint8 RGBA, stretched to one size; tall: [M] bool, by own shape."""

    images: np.ndarray
    tall: np.ndarray


def load_cutouts(folder: str, size: tuple[int, int]) -> Cutouts:
    """A bank from `folder` in SA-1B-crop layout (`<image>/<object>.png`), or drawn if it is "".

    Black is transparent, and so is what a PNG's own alpha says. size: (height, width) in pixels.

    Raises:
        DataError: no cut-out in the folder, or one that does not decode or is all transparent.
    """
    if folder:
        files = sorted(
            path
            for path in Path(folder).expanduser().glob("*/*")
            if path.suffix.lower() in (".png", ".jpg", ".jpeg")
        )
        if not files:
            raise DataError(
                f"config.views.occluders = {folder!r} holds no cut-out; expected "
                "<image>/<object>.png or .jpg in it (SA-1B-crop layout)"
            )
        cutouts = [_read(path) for path in files]
    else:
        rng = np.random.default_rng(DRAWN_SEED)
        cutouts = [draw_occluder(KINDS[i % len(KINDS)], rng) for i in range(DRAWN)]
    height, width = size
    images = [c.resize((width, height), Image.Resampling.BICUBIC) for c in cutouts]
    tall = [c.height / c.width > TALL for c in cutouts]
    return Cutouts(np.stack([np.asarray(image) for image in images]), np.array(tall))


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGBA"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: the cut-out does not decode ({error}); remove it") from error
    black = 0 if path.suffix.lower() == ".png" else JPEG_BLACK
    pixels[..., 3][pixels[..., :3].max(axis=-1) <= black] = 0
    if not pixels[..., 3].any():
        raise DataError(f"{path}: the cut-out is transparent everywhere; remove it")
    cutout = Image.fromarray(pixels)
    return cutout.crop(cutout.getchannel("A").getbbox())
