"""Small pictures inside a page, each once, within a budget of bytes."""

import base64
import io

from dpeformer_jax.base.pictures import Source
from dpeformer_jax.pictures.fitted import fitted

BOX, QUALITY = (96, 128), 55  # pixels, of WebP
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
    file = io.BytesIO()
    fitted(source, BOX).save(file, "WEBP", quality=QUALITY, method=4)
    return base64.b64encode(file.getvalue()).decode()
