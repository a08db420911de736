"""Pictures behind the training's occlusion: what thresholds and reports see beside clean ones."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dpeformer_jax.base.interfaces import OccluderBank, TrainingImages
from dpeformer_jax.model.pixels import from_uint8, normalize_pixels
from dpeformer_jax.training.occlusion import occlusion_of

DONORS = 64  # pictures that "rectangle" and "person" take parts of


class Occluded:
    """Pictures behind the training's occlusion, normalised: see base.interfaces.Images.

    The occlusion of a picture follows from the seed and its place alone. Other people's pictures,
    for the kinds that need some, are the first of up to DONORS identities.
    """

    def __init__(self, images: TrainingImages, kind: str, bank: OccluderBank | None, seed: int):
        self._images, self._kind, self._key = images, kind, jax.random.key(seed)
        places = np.unique(images.labels, return_index=True)[1][:DONORS]
        (donors,) = images.batches(places[None])
        bank = None if bank is None else OccluderBank(*map(jnp.asarray, bank))
        self._resident = bank, jnp.asarray(donors), jnp.asarray(images.labels[places])

    def __len__(self) -> int:
        return len(self._images)

    def batches(self, plan: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the pictures at the indices [S, B], a row at a time: float32 [B, H, W, 3]."""
        for places, pixels in zip(plan, self._images.batches(plan), strict=True):
            told = self._key, places, pixels, self._images.labels[places]
            yield np.asarray(_occluded(self._kind, *told, *self._resident))


@partial(jax.jit, static_argnames="kind")
def _occluded(
    kind: str,
    key: jax.Array,
    places: jax.Array,
    pixels: jax.Array,
    labels: jax.Array,
    bank: OccluderBank | None,
    donors: jax.Array,
    of_donors: jax.Array,
) -> jax.Array:
    """Occludes uint8 pictures [B, H, W, 3] at their places [B]; returns them normalised."""
    occlude = occlusion_of(kind, bank, donors, of_donors)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, places)
    return normalize_pixels(jax.vmap(occlude)(keys, from_uint8(pixels), labels))
