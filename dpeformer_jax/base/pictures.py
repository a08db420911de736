"""The one decoder of pictures: training, scoring and extraction see the same pixels.

A picture comes out upright, by its EXIF orientation, and in 8-bit RGB. Grey gets three equal
channels, transparency is dropped, 16 bits a channel keep their high byte, and CMYK is converted by
Pillow without a colour profile, as the field's programs do.
"""

import io
import os
import struct
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from dpeformer_jax.base.errors import UserError

Source = bytes | str | Path | np.ndarray | Image.Image

DAMAGED = (
    *(OSError, EOFError, SyntaxError, TypeError, ValueError, struct.error),
    Image.DecompressionBombError,
)
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


class PictureError(UserError):
    """A picture cannot be used. The message is a phrase; whoever knows the file adds its name."""


def decode(source: Source, size: tuple[int, int]) -> np.ndarray:
    """Decodes a picture as RGB uint8 [H, W, 3], resized by antialiased bicubic interpolation.

    Args:
        source: content or path of an image file, a PIL image, or a uint8 array [h, w], [h, w, 1],
            [h, w, 3] or [h, w, 4].
        size: (height, width) in pixels.

    Raises:
        PictureError: the source is no picture, or a damaged one.
    """
    image = to_rgb(open_picture(source))
    if image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image)


def open_picture(source: Source) -> Image.Image:
    """Opens and decodes a picture, upright and in the mode that it is stored in.

    Raises:
        PictureError: the source is no picture, or a damaged one.
    """
    if not isinstance(source, Source):
        raise PictureError(
            f"a {type(source).__name__} is no picture; expected a path, the content of an image "
            "file as bytes, a PIL image or a uint8 array"
        )
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if source == b"":
        raise PictureError("zero bytes")
    try:
        if isinstance(source, Image.Image):
            source.load()
            return _upright(source)
        file = io.BytesIO(source) if isinstance(source, bytes) else os.path.expanduser(source)
        with Image.open(file) as image:
            image.load()
            return _upright(image)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise PictureError(error.strerror.lower()) from error
    except DAMAGED as error:
        told = "no image" if isinstance(error, Image.UnidentifiedImageError) else error
        raise PictureError(f"does not decode: {told}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Converts a picture to 8-bit RGB.

    Raises:
        PictureError: the picture has 32 bits a channel or a colour space without a fixed meaning.
    """
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F", "LAB", "HSV"):
        raise PictureError(f"Pillow mode {image.mode}; convert it to 8-bit RGB")
    return image.convert("RGB")


def size_of(encoded: bytes) -> tuple[int, int]:
    """Reads (width, height) in pixels of the upright picture from an image file's header."""
    with Image.open(io.BytesIO(encoded)) as image:
        if _orientation(image) not in SIDEWAYS:
            return image.size
    return open_picture(encoded).size  # Pillow's header already exchanges the sides of a TIFF


def _from_array(pixels: np.ndarray) -> Image.Image:
    if not pixels.size:
        raise PictureError(
            f"an array {pixels.shape} holds no pixel, so it is no picture; expected uint8 [h, w], "
            "or [h, w, channels]"
        )
    flat = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if pixels.dtype != np.uint8 or not flat:
        raise PictureError(
            f"an array of {pixels.dtype} {pixels.shape} is no picture; expected uint8 [h, w], or "
            "[h, w, channels] with 1, 3 or 4 channels"
        )
    return Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels)


def _upright(image: Image.Image) -> Image.Image:
    return image if _orientation(image) == 1 else ImageOps.exif_transpose(image)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGED:  # a damaged EXIF block says nothing about the pixels
        return 1
