"""Reads SA-1B as published: pictures, and beside each a JSON file with run-length masks.

Format: `sa_N.json` beside `sa_N.jpg` holds {"image": {"file_name", "width", "height"},
"annotations": [{"segmentation": {"size": [height, width], "counts"}}]}, where counts is COCO's
compressed string or the plain list of run lengths (arXiv 2304.02643). This module decodes the masks
itself: for runs that end before the picture does, pycocotools 2.0 returns uninitialised memory.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.occluders.sources import Candidate, Unusable, files_below, open_picture
from dpeformer_jax.base.errors import UserError


def sa1b(folder: Path) -> Iterator[Candidate]:
    """Yields every object of every JSON file in a folder and its subfolders.

    Raises UserError where a JSON file does not parse, lacks a field, has no picture beside it or
    has a mask that does not fit the picture.
    """
    for file in files_below(folder, (".json",)):
        yield from _objects(file)


def _objects(file: Path) -> Iterator[Candidate]:
    try:
        record = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON: {error}") from error
    image = _field(record, "image", dict, f"{file}:")
    picture = file.parent / _field(image, "file_name", str, f"{file}: image")
    size = [_field(image, side, int, f"{file}: image") for side in ("height", "width")]
    if not picture.is_file():
        raise UserError(f"{picture} is missing; {file.name} beside it names this picture")
    # The picture is decoded at most once, and only if one of its objects is wanted.
    read = cache(partial(_read, picture, size))
    for i, annotation in enumerate(_field(record, "annotations", list, f"{file}:")):
        where = f"{file}: annotations[{i}]"
        mask = _field(annotation, "segmentation", dict, where)
        counts = _field(mask, "counts", (str, list), f"{where}.segmentation")
        found = _field(mask, "size", list, f"{where}.segmentation")
        if found != size:
            raise UserError(f"{where}: mask {found} does not fit picture {size} (height, width)")
        yield partial(_cut, read, counts, size, where)


def _field(record: Any, name: str, kind: type | tuple[type, ...], where: str) -> Any:
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise UserError(f"{where} lacks the field {name!r}, or the field is not as in SA-1B")
    return value


def _read(path: Path, size: list[int]) -> Image.Image:
    picture = open_picture(path).convert("RGB")
    if [picture.height, picture.width] != size:
        found, told = f"{picture.height} x {picture.width}", f"{size[0]} x {size[1]}"
        raise UserError(f"{path} has {found} pixels (height x width); its JSON file says {told}")
    return picture


def _cut(
    read: Callable[[], Image.Image], counts: str | list[int], size: list[int], where: str
) -> Image.Image:
    picture = read()
    try:
        mask = decode_mask(counts, *size)
    except ValueError as error:
        raise UserError(f"{where}: the mask does not fit its picture: {error}") from error
    visible = Image.fromarray(mask * np.uint8(255))
    box = visible.getbbox()
    if box is None:
        raise Unusable(where, "transparent", "the mask is empty")
    cutout = picture.crop(box)
    cutout.putalpha(visible.crop(box))
    return cutout


def decode_mask(counts: str | list[int], height: int, width: int) -> np.ndarray:
    """Decodes COCO's run lengths to a mask [height, width] uint8, 1 inside.

    Runs go down the columns, outside and inside in turn; the first is outside. Raises ValueError
    where the counts are no run lengths, or do not add up to height x width.
    """
    runs = run_lengths(counts) if isinstance(counts, str) else np.array(counts or [0])
    pixels = height * width
    if runs.ndim != 1 or runs.dtype.kind != "i" or runs.min() < 0 or runs.max() > pixels:
        raise ValueError("run lengths must be whole numbers of pixels")
    if runs.sum() != pixels:
        raise ValueError(f"its runs cover {runs.sum()} of {pixels} pixels")
    inside = (np.arange(len(runs)) % 2).astype(np.uint8)
    return np.repeat(inside, runs).reshape(width, height).T


def run_lengths(text: str) -> np.ndarray:
    """Decodes COCO's compressed string to run lengths [n].

    A character holds five bits of a number, the low bits first, and one bit that tells whether more
    follow. Numbers are signed; from the fourth on they are differences from the number two before.
    """
    digits = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((digits & 32) == 0)
    lengths = np.diff(ends, prepend=-1)  # digits of each number
    whole = len(ends) and ends[-1] == len(digits) - 1 and 0 <= digits.min() <= digits.max() < 64
    if not whole or lengths.max() > 9:  # beyond 45 bits
        raise ValueError("the string of run lengths is damaged")
    starts = ends - lengths + 1
    shifts = 5 * (np.arange(len(digits)) - np.repeat(starts, lengths))
    numbers = np.add.reduceat((digits & 31) << shifts, starts)
    numbers -= np.where(digits[ends] & 16, 32 << shifts[ends], 0)
    numbers[1::2] = numbers[1::2].cumsum()
    numbers[2::2] = numbers[2::2].cumsum()
    return numbers
