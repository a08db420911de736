"""Streams candidates for cut-outs from each source; a candidate is decoded only if wanted."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data.rendering import KINDS, draw_occluder
from dpeformer_jax.base import pictures
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.tables import Row, read_table

JPEG_BLACK = 16  # brightest black of a JPEG, whose compression blurs it
CROPS = (".png", ".jpg", ".jpeg")
WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")
BOXES = "boxes.csv"
SIDES = ("left", "top", "width", "height")

# A call returns the cut-out in RGBA, cropped to its visible part, or raises Unusable.
Candidate = Callable[[], Image.Image]


class Unusable(UserError):
    """A cut-out cannot be used; where: its file; reason: a word or two, by which it is counted."""

    def __init__(self, where: str | Path, reason: str, told: str):
        super().__init__(f"{where}: {told}")
        self.where, self.reason = str(where), reason


def drawn(count: int, seed: int) -> Iterator[Candidate]:
    """Yields shapes drawn by code, all kinds in turn."""
    for i in range(count):
        yield partial(draw_occluder, KINDS[i % len(KINDS)], np.random.default_rng([seed, i]))


def crops(folder: Path) -> Iterator[Candidate]:
    """Yields the cut-outs of a folder in SA-1B-crop layout."""
    for path in crop_files(folder):
        yield partial(read_crop, path)


def crop_files(folder: Path) -> Iterator[Path]:
    """Yields `<image>/<object>.png` or .jpg, sorted by name."""
    for image in sorted(path for path in folder.glob("*") if path.is_dir()):
        yield from sorted(path for path in image.glob("*") if path.suffix.lower() in CROPS)


def read_crop(path: Path) -> Image.Image:
    """Reads a file in SA-1B-crop layout: black is transparent, as is what its alpha says.

    Raises Unusable where the file does not decode, or nothing in it is visible.
    """
    pixels = np.array(open_picture(path).convert("RGBA"))
    black = 0 if path.suffix.lower() == ".png" else JPEG_BLACK
    pixels[..., 3][pixels[..., :3].max(axis=-1) <= black] = 0
    return _visible(Image.fromarray(pixels), path)


def with_alpha(folder: Path) -> Iterator[Candidate]:
    """Yields every picture with transparency in a folder and its subfolders."""
    for path in files_below(folder, WITH_ALPHA):
        yield partial(_read_alpha, path)


def files_below(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yields the files of some suffixes in a folder and its subfolders, sorted by name."""
    for top, folders, names in os.walk(folder):
        folders.sort()
        paths = (Path(top, name) for name in sorted(names))
        yield from (path for path in paths if path.suffix.lower() in suffixes)


def _read_alpha(path: Path) -> Image.Image:
    picture = open_picture(path)
    if picture.mode != "RGBA":
        raise Unusable(path, "without alpha", "the picture has no alpha channel")
    return _visible(picture, path)


def boxes(folder: Path) -> Iterator[Candidate]:
    """Yields the rectangles that the table BOXES in a folder lists of the pictures beside it.

    The columns are path, left, top, width and height. Raises UserError where the table is missing,
    or a row of it makes no sense.
    """
    table = folder / BOXES
    for line, row in read_table(table, ("path", *SIDES)):
        yield partial(_cut_box, folder / row["path"], _box(row, f"{table}, line {line}"))


def _box(row: Row, where: str) -> tuple[int, int, int, int]:
    """Parses a row to (left, top, right, bottom) in pixels."""
    try:
        left, top, width, height = (int(row[side]) for side in SIDES)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {', '.join(SIDES)} must be whole numbers of pixels") from error
    if width < 1 or height < 1:
        raise UserError(f"{where}: a box of {width} x {height} pixels has no area")
    return left, top, left + width, top + height


def _cut_box(path: Path, box: tuple[int, int, int, int]) -> Image.Image:
    if not path.is_file():
        raise UserError(f"{path} is missing, but {BOXES} names it")
    picture = open_picture(path)
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > picture.width or bottom > picture.height:
        raise UserError(
            f"{path}: the box from ({left}, {top}) to ({right}, {bottom}) lies outside of the "
            f"picture of {picture.width} x {picture.height} pixels"
        )
    return picture.convert("RGB").crop(box).convert("RGBA")  # opaque in any case


def open_picture(path: Path) -> Image.Image:
    """Decodes a picture to RGB, or to RGBA if it has transparency; raises Unusable if damaged."""
    try:
        picture = pictures.open_picture(path)
        has_alpha = picture.has_transparency_data
        return picture.convert("RGBA") if has_alpha else pictures.to_rgb(picture)
    except pictures.PictureError as error:
        raise Unusable(path, "damaged", f"{error}; remove it") from error


def _visible(picture: Image.Image, path: Path) -> Image.Image:
    """Crops a picture to its visible part."""
    box = picture.getchannel("A").getbbox()
    if box is None:
        raise Unusable(path, "transparent", "the cut-out is transparent everywhere; remove it")
    return picture.crop(box)
