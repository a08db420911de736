"""From a uint8 image to the two normalised training views, on the device. Key first.

Every function takes one image [H, W, 3]; the caller vmaps.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from dpeformer_jax.model.pixels import from_uint8, normalize

PADDING = 10  # pixels around the image before the random crop
JITTER = 0.1  # largest relative change of brightness, contrast and saturation
LUMA = jnp.array([0.299, 0.587, 0.114])  # ITU-R BT.601, the grey of a colour


def color_jitter(key: jax.Array, image: jax.Array) -> jax.Array:
    """Brightness, contrast and saturation, each by a factor in 1 +- JITTER. image: 0..1."""
    brightness, contrast, saturation = jax.random.uniform(
        key, (3,), minval=1 - JITTER, maxval=1 + JITTER
    )
    image = jnp.clip(image * brightness, 0, 1)
    mean_grey = (image @ LUMA).mean()
    image = jnp.clip(mean_grey + (image - mean_grey) * contrast, 0, 1)
    grey = (image @ LUMA)[..., None]
    return jnp.clip(grey + (image - grey) * saturation, 0, 1)


def flip_and_shift(key: jax.Array, image: jax.Array) -> jax.Array:
    """Mirrors half of the images, pads by PADDING black pixels and crops at random."""
    flip_key, crop_key = jax.random.split(key)
    image = jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)
    padded = jnp.pad(image, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    top, left = jax.random.randint(crop_key, (2,), 0, 2 * PADDING + 1)
    return jax.lax.dynamic_slice(padded, (top, left, 0), image.shape)


def two_views(
    key: jax.Array, image: jax.Array, occlude: Callable[[jax.Array, jax.Array], Any]
) -> jax.Array:
    """The clean view and its occluded copy, normalised: [2, H, W, 3] float32.

    Args:
        key: of this image.
        image: uint8 [H, W, 3].
        occlude: fn(key, image in 0..1) -> image.
    """
    jitter_key, place_key, occlusion_key = jax.random.split(key, 3)
    clean = flip_and_shift(place_key, color_jitter(jitter_key, from_uint8(image)))
    return normalize(jnp.stack([clean, occlude(occlusion_key, clean)]))
