"""Where cut-outs come from. Each source streams candidates, which are decoded only if wanted."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data.errors import DataError
from data.rendering import KINDS, draw_occluder
from data.tables import Row, read_table

JPEG_BLACK = 16  # a JPEG's transparent black is blurred by compression
CROPS = (".png", ".jpg", ".jpeg")
WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")
BOXES = "boxes.csv"
SIDES = ("left", "top", "width", "height")

# A cut-out to be: the call gives it as RGBA, cropped to what is visible, or raises Unusable.
Candidate = Callable[[], Image.Image]


class Unusable(DataError):
    """One cut-out that cannot be used. where: its file; reason: a word or two, for counting."""

    def __init__(self, where: str | Path, reason: str, told: str):
        super().__init__(f"{where}: {told}")
        self.where, self.reason = str(where), reason


def drawn(count: int, seed: int) -> Iterator[Candidate]:
    """Shapes drawn by code, all kinds in turn."""
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        yield partial(draw_occluder, KINDS[i % len(KINDS)], rng)


def crops(folder: Path) -> Iterator[Candidate]:
    """A folder in SA-1B-crop layout; black is transparent, and what a PNG's own alpha says."""
    for path in crop_files(folder):
        yield partial(read_crop, path)


def crop_files(folder: Path) -> Iterator[Path]:
    """`<image>/<object>.png` or .jpg, in the order of their names."""
    for image in sorted(path for path in folder.glob("*") if path.is_dir()):
        yield from sorted(path for path in image.glob("*") if path.suffix.lower() in CROPS)


def read_crop(path: Path) -> Image.Image:
    """One file in SA-1B-crop layout, cropped to what is visible.

    Raises:
        Unusable: it does not decode, or nothing in it is visible.
    """
    pixels = np.array(open_picture(path).convert("RGBA"))
    black = 0 if path.suffix.lower() == ".png" else JPEG_BLACK
    pixels[..., 3][pixels[..., :3].max(axis=-1) <= black] = 0
    return _visible(Image.fromarray(pixels), path)


def with_alpha(folder: Path) -> Iterator[Candidate]:
    """Every picture with transparency in a folder and the folders in it."""
    for top, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(top, name)
            if path.suffix.lower() in WITH_ALPHA:
                yield partial(_read_alpha, path)


def _read_alpha(path: Path) -> Image.Image:
    picture = open_picture(path)
    if not picture.has_transparency_data:
        raise Unusable(path, "without alpha", "the picture has no alpha channel")
    return _visible(picture.convert("RGBA"), path)


def boxes(folder: Path) -> Iterator[Candidate]:
    """Rectangles of pictures, as BOXES in their folder lists them: path,left,top,width,height.

    Raises:
        DataError: there is no such table, or a row of it cannot be meant.
    """
    table = folder / BOXES
    for line, row in read_table(table, ("path", *SIDES)):
        yield partial(_cut_box, folder / row["path"], _box(row, f"{table}, line {line}"))


def _box(row: Row, where: str) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels."""
    try:
        left, top, width, height = (int(row[side]) for side in SIDES)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {', '.join(SIDES)} must be whole numbers of pixels") from error
    if width < 1 or height < 1:
        raise DataError(f"{where}: a box of {width} x {height} pixels has no area")
    return left, top, left + width, top + height


def _cut_box(path: Path, box: tuple[int, int, int, int]) -> Image.Image:
    if not path.is_file():
        raise DataError(f"{path} is missing; {BOXES} in its folder names it")
    picture = open_picture(path)
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > picture.width or bottom > picture.height:
        raise DataError(
            f"{path}: the box from ({left}, {top}) to ({right}, {bottom}) lies outside of the "
            f"picture of {picture.width} x {picture.height} pixels"
        )
    return picture.convert("RGB").crop(box).convert("RGBA")  # opaque, whatever the picture is


def open_picture(path: Path) -> Image.Image:
    """A decoded picture.

    Raises:
        Unusable: it does not decode.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unusable(path, "damaged", f"it does not decode ({error}); remove it") from error


def _visible(picture: Image.Image, path: Path) -> Image.Image:
    """Cropped to its alpha."""
    box = picture.getchannel("A").getbbox()
    if box is None:
        raise Unusable(path, "transparent", "the cut-out is transparent everywhere; remove it")
    return picture.crop(box)
