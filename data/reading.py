"""Image files as they lie on disk: read by threads, and looked at for what is wrong with them."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

READ_AT_ONCE = 256
EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")


class Damage(NamedTuple):
    """Why a file cannot be used, in a few words."""

    problem: str


def read_all(paths: Sequence[Path]) -> Iterator[bytes | Damage]:
    """Files in order as they are, read and test-decoded by threads."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), READ_AT_ONCE):
            yield from pool.map(_read, paths[start : start + READ_AT_ONCE])


def problem_of(encoded: bytes) -> str:
    """What is wrong with an image file; "" where nothing is.

    Colours other than 8-bit RGB or grey are refused, because there is more than one way to make
    RGB of them and the choice would change features unseen.
    """
    if not encoded:
        return "zero bytes"
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode not in EIGHT_BIT or "16" in _raw_mode(image):
                depth = "16 bits a channel" if "16" in image.mode + _raw_mode(image) else image.mode
                return f"{depth}; convert it to 8-bit RGB"
            image.load()
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
        told = "no image" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        return f"does not decode: {told}"
    return ""


def _raw_mode(image: Image.Image) -> str:
    """How the file stores pixels; Pillow's mode of a 16-bit RGB PNG is plain "RGB"."""
    arguments = image.tile[0].args if image.tile else ""
    # A tuple opens with the mode; sizes and offsets follow, which may have any digits.
    return arguments if isinstance(arguments, str) else str(arguments[0])


def _read(path: Path) -> bytes | Damage:
    try:
        encoded = path.read_bytes()
    except OSError as error:
        return Damage(f"cannot be read: {error.strerror}")
    problem = problem_of(encoded)
    return Damage(problem) if problem else encoded
