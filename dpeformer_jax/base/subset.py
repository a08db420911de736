"""Some pictures of many."""

from collections.abc import Iterator

import numpy as np

from dpeformer_jax.base.interfaces import Images


class Subset:
    """The pictures at some places [m]: see base.interfaces.Images."""

    def __init__(self, images: Images, places: np.ndarray):
        self._images, self._places = images, np.asarray(places, int)

    def __len__(self) -> int:
        return len(self._places)

    def batches(self, plan: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the pictures at the indices [S, B], a row at a time."""
        return self._images.batches(self._places[plan])
