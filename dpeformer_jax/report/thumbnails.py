"""Small pictures inside a page, each once, within a budget of bytes."""

import base64
import io

from PIL import Image

from dpeformer_jax.base.pictures import PictureError, Source, open_picture, to_rgb

HEIGHT, WIDEST, QUALITY = 128, 96, 55  # pixels, pixels, of WebP
LEFT_OUT = -1


class Thumbnails:
    """Collects pictures as WebP in base64.

    images: what was collected; `add` gives places in it.
    """

    def __init__(self, budget: int):
        """Takes the number of bytes that the page may spend on pictures."""
        self.images: list[str] = []
        self._left = budget
        self._places: dict[object, int] = {}

    @property
    def full(self) -> bool:
        """Whether a picture was left out, for the budget is spent."""
        return LEFT_OUT in self._places.values()

    def add(self, name: object, source: Source) -> int:
        """Returns the place of the picture of this name, LEFT_OUT where no bytes are left."""
        if name not in self._places:
            encoded = _encoded(source)
            fits = len(encoded) <= self._left
            self._places[name] = len(self.images) if fits else LEFT_OUT
            if fits:
                self.images.append(encoded)
                self._left -= len(encoded)
        return self._places[name]


def _encoded(source: Source) -> str:
    try:
        picture = to_rgb(open_picture(source))
    except PictureError:
        picture = Image.new("RGB", (HEIGHT // 2, HEIGHT), "#888888")
    scale = min(HEIGHT / picture.height, WIDEST / picture.width)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(file, "WEBP", quality=QUALITY, method=4)
    return base64.b64encode(file.getvalue()).decode()
