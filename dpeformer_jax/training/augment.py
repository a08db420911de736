"""Makes the normalised training views of a uint8 image, on the device.

Every function takes a key and one image [H, W, 3]; the caller vmaps.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dpeformer_jax.model.pixels import from_uint8, normalize_pixels
from dpeformer_jax.training.occlusion import random_erasing

ERASED_AREA = (0.02, 1 / 3)  # share of an image (arXiv 1708.04896)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, the grey of a colour


def color_jitter(key: jax.Array, image: jax.Array, most: float) -> jax.Array:
    """Changes brightness, contrast and saturation by factors in 1 +- most. image: 0..1."""
    brightness, contrast, saturation = jax.random.uniform(
        key, (3,), minval=1 - most, maxval=1 + most
    )
    image = jnp.clip(image * brightness, 0, 1)
    mean_grey = (image @ LUMA).mean()
    image = jnp.clip(mean_grey + (image - mean_grey) * contrast, 0, 1)
    grey = (image @ LUMA)[..., None]
    return jnp.clip(grey + (image - grey) * saturation, 0, 1)


def flip_and_shift(key: jax.Array, image: jax.Array, padding: int) -> jax.Array:
    """Mirrors half of the images, pads them with black pixels and crops them at random."""
    flip_key, crop_key = jax.random.split(key)
    image = jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)
    padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    top, left = jax.random.randint(crop_key, (2,), 0, 2 * padding + 1)
    return jax.lax.dynamic_slice(padded, (top, left, 0), image.shape)


def clean_view(
    jitter_key: jax.Array, place_key: jax.Array, image: jax.Array, padding: int, jitter: float
) -> jax.Array:
    """Returns the clean view of a uint8 image, 0..1.

    padding: pixels around the image before the random crop; jitter: see color_jitter, 0 for none.
    """
    image = from_uint8(image)
    if jitter:
        image = color_jitter(jitter_key, image, jitter)
    return flip_and_shift(place_key, image, padding)


def two_views(
    key: jax.Array, image: jax.Array, padding: int, jitter: float, occlude: Callable[..., jax.Array]
) -> jax.Array:
    """Returns the clean view of a uint8 image and its occluded copy, normalised: [2, H, W, 3].

    padding, jitter: see clean_view; occlude: fn(key, image in 0..1).
    """
    jitter_key, place_key, occlusion_key = jax.random.split(key, 3)
    clean = clean_view(jitter_key, place_key, image, padding, jitter)
    return normalize_pixels(jnp.stack([clean, occlude(occlusion_key, clean)]))


def one_view(
    key: jax.Array, image: jax.Array, padding: int, jitter: float, erasing: float
) -> jax.Array:
    """Returns the one view [H, W, 3] of a uint8 image that baselines train on, normalised.

    padding, jitter: see clean_view; erasing: the share of the views that lose a rectangle to noise.
    """
    place_key, chance_key, erasing_key = jax.random.split(key, 3)
    jitter_key = jax.random.fold_in(key, 0)
    clean = normalize_pixels(clean_view(jitter_key, place_key, image, padding, jitter))
    erased = random_erasing(erasing_key, clean, ERASED_AREA)
    return jnp.where(jax.random.bernoulli(chance_key, erasing), erased, clean)
