"""Cut-outs of one fixed size, as training holds them, and the file they are kept in."""

import hashlib
import os
import zlib
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from data.errors import DataError
from data.occluders.sources import crop_files, read_crop
from data.rendering import KINDS, draw_occluder

DRAWN = 96  # cut-outs in a drawn bank
DRAWN_SEED = 7  # not the seed of any data set, whose occluders are drawn by the same code
TALL = 2.0  # height / width above which a cut-out stands beside the person
# What zipfile and numpy raise for a damaged file.
UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error)
MOST_FILES = 10_000  # that are decoded at every start of a training; a bank file holds any number


class Cutouts(NamedTuple):
    """images: [M, h, w, 4] uint8 RGBA, stretched to one size; tall: [M] bool, by own shape.

    origin: where they are from, with the fingerprint; for the records of a run.
    """

    images: np.ndarray
    tall: np.ndarray
    origin: str


def load_cutouts(source: str, size: tuple[int, int]) -> Cutouts:
    """The cut-outs that `config.views.occluders` names.

    Args:
        source: a bank file, a folder in SA-1B-crop layout (`<image>/<object>.png`, black or its
            own alpha is transparent), or "" for drawn cut-outs.
        size: (height, width) in pixels that all are stretched to.

    Raises:
        DataError: a damaged bank; a folder with no cut-out or too many of them, or with one that
            does not decode or is all transparent.
    """
    path = Path(source).expanduser()
    if source and path.is_file():
        images, tall, fingerprint = read_bank(path)
        if images.shape[1:3] != size:
            images = np.stack([as_cell(Image.fromarray(image), size) for image in images])
        return Cutouts(images, tall, f"from {source}, fingerprint {fingerprint}")
    if source:
        origin, cutouts = f"from {source}", [read_crop(file) for file in _crops(path)]
    else:
        rng = np.random.default_rng(DRAWN_SEED)
        origin = "drawn"
        cutouts = [draw_occluder(KINDS[i % len(KINDS)], rng) for i in range(DRAWN)]
    images = np.stack([as_cell(cutout, size) for cutout in cutouts])
    tall = np.array([is_tall(cutout) for cutout in cutouts])
    return Cutouts(images, tall, f"{origin}, fingerprint {fingerprint_of(images, tall)}")


def _crops(folder: Path) -> list[Path]:
    files = list(islice(crop_files(folder), MOST_FILES + 1))
    if not files:
        raise DataError(
            f"config.views.occluders = {str(folder)!r} holds no cut-out; expected "
            "<image>/<object>.png or .jpg in it (SA-1B-crop layout), or a bank file"
        )
    if len(files) > MOST_FILES:
        raise DataError(
            f"config.views.occluders = {str(folder)!r} holds more than {MOST_FILES:,} cut-outs; "
            f"make a bank of them once: python -m data.occluders build --crops {folder} "
            "--out bank.npz, and name that file"
        )
    return files


def as_cell(cutout: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """An RGBA cut-out stretched to size (height, width): [h, w, 4] uint8."""
    return np.asarray(cutout.resize(size[::-1], Image.Resampling.BICUBIC))


def is_tall(cutout: Image.Image) -> bool:
    """Whether it stands beside a person; any other lies across."""
    return cutout.height / cutout.width > TALL


def fingerprint_of(images: np.ndarray, tall: np.ndarray) -> str:
    """SHA-256 of the shape, the pixels and the kinds, in hexadecimal."""
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images))
    digest.update(np.ascontiguousarray(tall))
    return digest.hexdigest()


def write_bank(path: Path, images: np.ndarray, tall: np.ndarray) -> str:
    """Writes a bank file, whole or not at all, and returns its fingerprint.

    images: [M, h, w, 4] uint8; tall: [M] bool.
    """
    fingerprint = fingerprint_of(images, tall)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            # Not compressed: every start of a training reads it.
            np.savez(file, images=images, tall=tall, fingerprint=np.array(fingerprint))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return fingerprint


def read_bank(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """images, tall and fingerprint of a bank file, which is read as data.

    Raises:
        DataError: it is no bank, or damaged.
    """
    try:
        with np.lib.npyio.NpzFile(path.open("rb"), own_fid=True, allow_pickle=False) as file:
            images, tall, fingerprint = (file[key] for key in ("images", "tall", "fingerprint"))
    except UNREADABLE as error:
        raise DataError(
            f"{path} is not a whole bank of cut-outs ({error}); make it by "
            "python -m data.occluders build"
        ) from error
    if fingerprint_of(images, tall) != str(fingerprint):
        raise DataError(f"{path} is damaged: its content does not have its fingerprint; rebuild it")
    return images, tall, str(fingerprint)
