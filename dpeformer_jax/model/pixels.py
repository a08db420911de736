"""The network's input convention: RGB in -1..1."""

import jax
import jax.numpy as jnp


def from_uint8(image: jax.Array) -> jax.Array:
    """Converts 0..255 uint8 to 0..1 float32."""
    return image.astype(jnp.float32) / 255


def normalize_pixels(image: jax.Array) -> jax.Array:
    """Converts 0..1 to -1..1 (mean 0.5, standard deviation 0.5)."""
    return (image - 0.5) / 0.5
