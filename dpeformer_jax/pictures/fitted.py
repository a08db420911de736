"""A picture as large as a box allows."""

from PIL import Image

from dpeformer_jax.base.pictures import PictureError, Source, open_picture, to_rgb
from dpeformer_jax.pictures.style import FAINT


def fitted(source: Source, box: tuple[int, int]) -> Image.Image:
    """Scales a picture to a box (width, height); a grey one where it cannot be read."""
    try:
        picture = to_rgb(open_picture(source))
    except PictureError:
        return Image.new("RGB", box, FAINT)
    scale = min(box[0] / picture.width, box[1] / picture.height)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    return picture.resize(size, Image.Resampling.BICUBIC)
