"""Occluding one image: realistic cut-outs (ROA) or random erasing. Key first, one image at a time.

Images are float32 [H, W, 3] in 0..1, before normalisation. ROA: arXiv 2402.10435, section 3.4;
random erasing: arXiv 1708.04896.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp


class OccluderBank(NamedTuple):
    """Cut-outs as they lie on the device.

    images: [M, h, w, 4] uint8 RGBA, each stretched to one common size.
    tall: [M] bool, whether the cut-out's own height / width is above 2: it stands beside
        the person, any other lies across.
    """

    images: jax.Array
    tall: jax.Array


def resize_matrix(source: int, target: jax.Array, offset: jax.Array, canvas: int) -> jax.Array:
    """Bilinear resize along one axis (half-pixel centres, no antialias) as a matrix.

    Places `source` samples, stretched to `target` pixels, at `offset` of a canvas.

    Returns:
        [canvas, source] weights; rows outside offset..offset + target are 0.
    """
    pixel = jnp.arange(canvas) - offset
    position = jnp.clip((pixel + 0.5) * source / target - 0.5, 0, source - 1)
    weights = jnp.maximum(1 - jnp.abs(position[:, None] - jnp.arange(source)), 0)
    inside = (pixel >= 0) & (pixel < target)
    return weights * inside[:, None]


def paste(image: jax.Array, cutout: jax.Array, box: tuple[jax.Array, ...]) -> jax.Array:
    """Lays a cut-out over an image.

    Args:
        image: [H, W, 3].
        cutout: [h, w, 4] RGBA in 0..1.
        box: (top, left, height, width) in pixels that the cut-out is stretched to.
    """
    top, left, height, width = box
    rows = resize_matrix(cutout.shape[0], height, top, image.shape[0])
    columns = resize_matrix(cutout.shape[1], width, left, image.shape[1])
    alpha = cutout[..., 3:]
    # Colours weighted by alpha, so that what is transparent does not bleed into the edge.
    layer = jnp.concatenate([cutout[..., :3] * alpha, alpha], axis=-1)
    layer = jnp.einsum("yh,xw,hwc->yxc", rows, columns, layer)
    return layer[..., :3] + (1 - layer[..., 3:]) * image


def extents(full: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Smallest and largest [height, width] of a cut-out in an image of [height, width] pixels."""
    return full // 2, full * 3 // 4


def box_of(
    full: jax.Array, tall: jax.Array | bool, extent: jax.Array, bottom_right: jax.Array
) -> tuple[jax.Array, ...]:
    """Where a cut-out goes.

    Args:
        full: [height, width] of the image.
        tall: whether it stands beside the person; it lies across otherwise.
        extent: [height, width] of one that lies across, of one that stands beside.
        bottom_right: [2] bool, at the bottom and not at the top, on the right and not on the left.

    Returns:
        (top, left, height, width) in pixels; the cut-out spans the image in one direction.
    """
    spans = jnp.where(tall, jnp.array([1, 0]), jnp.array([0, 1]))
    size = jnp.where(spans, full, extent)
    return (*jnp.where(bottom_right, full - size, 0), *size)


def realistic_occlusion(key: jax.Array, image: jax.Array, bank: OccluderBank) -> jax.Array:
    """ROA: one random cut-out, mirrored, in a random corner of the image [H, W, 3].

    A tall one spans the height and 1/2 to 3/4 of the width; any other spans the width and 1/2 to
    3/4 of the height.
    """
    which_key, size_key, corner_key = jax.random.split(key, 3)
    which = jax.random.randint(which_key, (), 0, len(bank.images))
    cutout = bank.images[which][:, ::-1].astype(jnp.float32) / 255
    full = jnp.array(image.shape[:2])
    shortest, longest = extents(full)
    extent = jax.random.randint(size_key, (2,), shortest, longest + 1)
    bottom_right = jax.random.bernoulli(corner_key, shape=(2,))
    return paste(image, cutout, box_of(full, bank.tall[which], extent, bottom_right))


def random_erasing(key: jax.Array, image: jax.Array) -> jax.Array:
    """Replaces a random rectangle of the image [H, W, 3] by normal noise a pixel.

    Area 0.05 to 0.4 of the image, width / height 0.3 to 3.3; of ten tries the first that fits is
    taken, and none if none fits.
    """
    height, width, _ = image.shape
    area_key, aspect_key, place_key, noise_key = jax.random.split(key, 4)
    area = height * width * jax.random.uniform(area_key, (10,), minval=0.05, maxval=0.4)
    bound = math.log(1 / 0.3)
    aspect = jnp.exp(jax.random.uniform(aspect_key, (10,), minval=-bound, maxval=bound))
    sizes = jnp.round(jnp.sqrt(jnp.stack([area / aspect, area * aspect], axis=1)))
    fits = (sizes < jnp.array([height, width])).all(axis=1)
    size = jnp.where(fits.any(), sizes[jnp.argmax(fits)], 0).astype(jnp.int32)
    free = jnp.array([height, width]) - size + 1
    top, left = jax.random.randint(place_key, (2,), 0, free)
    row, column = jnp.arange(height)[:, None], jnp.arange(width)
    inside = (row >= top) & (row < top + size[0]) & (column >= left) & (column < left + size[1])
    return jnp.where(inside[..., None], jax.random.normal(noise_key, image.shape), image)
