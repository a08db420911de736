"""Resizes pictures inside a graph as Pillow's antialiased bicubic interpolation does.

Pillow rounds to whole grey levels after each of its two passes. jax.image.resize does not, so that
a tenth of its pixels is off by one. Here both passes are products with a matrix of weights, in
float32 where Pillow computes in fixed point.
"""

import jax
import jax.numpy as jnp
import PIL

EXACT = jax.lax.Precision.HIGHEST
# From version 13 on Pillow begins with the pass that leaves fewer pixels, where a picture gets
# lower. Before, it always begins with the horizontal one.
DOWN_FIRST = int(PIL.__version__.split(".")[0]) >= 13


def resized(images: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Returns pictures of another size, whole grey levels 0..255 in float32 [B, H, W, 3].

    Pictures that have the size already come out as they are.

    Args:
        images: [B, h, w, 3] uint8; only run time may know h and w.
        size: (H, W).
    """
    images = images.astype(jnp.float32)
    rows, columns = weights(images.shape[1], size[0]), weights(images.shape[2], size[1])
    across_first = _down(_across(images, columns), rows)
    if not DOWN_FIRST:
        return across_first
    down_first = _across(_down(images, rows), columns)
    height, width = (jnp.asarray(side, jnp.float32) for side in images.shape[1:3])
    fewer = width * size[0] < height * size[1]
    return jnp.where((height > size[0]) & fewer, down_first, across_first)


def weights(source: int, target: int) -> jax.Array:
    """Returns a matrix [target, source] whose rows average the pixels of one line.

    The kernel is Keys' cubic with a = -0.5, as wide as the scale where the picture shrinks.
    """
    places = jnp.arange(source, dtype=jnp.float32) + 0.5
    scale = jnp.asarray(source, jnp.float32) / target
    centres = (jnp.arange(target, dtype=jnp.float32) + 0.5) * scale
    x = jnp.abs(places[None] - centres[:, None]) / jnp.maximum(scale, 1)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    kernel = jnp.where(x < 1, near, jnp.where(x < 2, far, 0.0))
    return kernel / kernel.sum(axis=1, keepdims=True)


def _across(images: jax.Array, columns: jax.Array) -> jax.Array:
    return _rounded(jnp.einsum("bhnc,wn->bhwc", images, columns, precision=EXACT))


def _down(images: jax.Array, rows: jax.Array) -> jax.Array:
    return _rounded(jnp.einsum("bnwc,hn->bhwc", images, rows, precision=EXACT))


def _rounded(levels: jax.Array) -> jax.Array:
    return jnp.clip(jnp.floor(levels + 0.5), 0, 255)
