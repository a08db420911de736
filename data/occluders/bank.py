"""Loads cut-outs of one size for training, and writes them to a bank file."""

import hashlib
import zlib
from itertools import islice
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from data.occluders.sources import crop_files, read_crop
from data.rendering import KINDS, draw_occluder
from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.interfaces import OccluderBank

DRAWN = 96  # cut-outs in a drawn bank
DRAWN_SEED = 7  # differs from the seeds of the drawn data sets, which draw by the same code
TALL = 2.0  # height / width above which a cut-out stands beside the person
# The exceptions of zipfile and numpy for a damaged file.
UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error)
MOST_FILES = 10_000  # in a folder, as each training decodes them anew; a bank has no such limit


def load_cutouts(source: str, size: tuple[int, int]) -> tuple[OccluderBank, str]:
    """Loads the cut-outs that `config.views.occluders` names; tells their origin and fingerprint.

    Args:
        source: a bank file, a folder in SA-1B-crop layout (`<image>/<object>.png`; black and what
            its alpha says are transparent), or "" for drawn cut-outs.
        size: (height, width) in pixels that each cut-out is stretched to.

    Raises:
        UserError: the bank is damaged; the folder holds no cut-out, too many, or an unusable one.
    """
    path = Path(source).expanduser()
    if source and path.is_file():
        images, tall, fingerprint = read_bank(path)
        if images.shape[1:3] != size:
            images = np.stack([as_cell(Image.fromarray(image), size) for image in images])
        return OccluderBank(images, tall), f"from {source}, fingerprint {fingerprint}"
    if source:
        origin, cutouts = f"from {source}", [read_crop(file) for file in _crops(path)]
    else:
        origin, rng = "drawn", np.random.default_rng(DRAWN_SEED)
        cutouts = [draw_occluder(KINDS[i % len(KINDS)], rng) for i in range(DRAWN)]
    images = np.stack([as_cell(cutout, size) for cutout in cutouts])
    tall = np.array([is_tall(cutout) for cutout in cutouts])
    return OccluderBank(images, tall), f"{origin}, fingerprint {fingerprint_of(images, tall)}"


def _crops(folder: Path) -> list[Path]:
    files = list(islice(crop_files(folder), MOST_FILES + 1))
    named = f"config.views.occluders = {str(folder)!r}"
    if not files:
        raise UserError(
            f"{named} holds no cut-out; expected <image>/<object>.png or .jpg in it (SA-1B-crop "
            "layout), or a bank file"
        )
    if len(files) > MOST_FILES:
        raise UserError(
            f"{named} holds more than {MOST_FILES:,} cut-outs; make a bank of them once and name "
            f"it: python -m data.occluders build --crops {folder} --out bank.npz"
        )
    return files


def as_cell(cutout: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Returns an RGBA cut-out stretched to size (height, width): [h, w, 4] uint8."""
    return np.asarray(cutout.resize(size[::-1], Image.Resampling.BICUBIC))


def is_tall(cutout: Image.Image) -> bool:
    """Tells whether a cut-out stands beside a person; any other lies across."""
    return cutout.height / cutout.width > TALL


def fingerprint_of(images: np.ndarray, tall: np.ndarray) -> str:
    """Returns SHA-256 of images [M, h, w, 4] and tall [M] in hexadecimal."""
    digest = hashlib.sha256(repr(images.shape).encode())
    for array in (images, tall):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def write_bank(path: Path, images: np.ndarray, tall: np.ndarray) -> str:
    """Writes images [M, h, w, 4] uint8 and tall [M] bool to a file; returns the fingerprint."""
    fingerprint = fingerprint_of(images, tall)
    with atomic_write(path) as partial, partial.open("wb") as file:
        # Not compressed, for each training reads it at its start.
        np.savez(file, images=images, tall=tall, fingerprint=np.array(fingerprint))
    return fingerprint


def read_bank(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Returns images, tall and fingerprint of a bank file; runs no code from it.

    Raises UserError where the file is no bank, or damaged.
    """
    try:
        with np.lib.npyio.NpzFile(path.open("rb"), own_fid=True, allow_pickle=False) as file:
            images, tall, fingerprint = (file[key] for key in ("images", "tall", "fingerprint"))
    except UNREADABLE as error:
        told = f"{path} is no whole bank ({error}); make it by python -m data.occluders build"
        raise UserError(told) from error
    if fingerprint_of(images, tall) != str(fingerprint):
        raise UserError(f"{path} is damaged: its content does not have its fingerprint; rebuild it")
    return images, tall, str(fingerprint)
