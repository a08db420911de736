"""Occludes one image by a cut-out (ROA), by noise, or by a part of another image. Key first.

Images are float32 [H, W, 3] in 0..1, before normalisation. ROA: arXiv 2402.10435, section 3.4;
random erasing: arXiv 1708.04896; parts of other training images: FED, arXiv 2112.08740.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dpeformer_jax.base.interfaces import OccluderBank
from dpeformer_jax.model.pixels import from_uint8

AREA = (0.05, 0.4)  # share of an image that a rectangle covers


def resize_matrix(source: int, target: jax.Array, offset: jax.Array, canvas: int) -> jax.Array:
    """Returns a bilinear resize along one axis (half-pixel centres, no antialias) as a matrix.

    Its weights [canvas, source] place `source` samples, stretched to `target` pixels, at `offset`
    of a canvas; the other rows are 0.
    """
    pixel = jnp.arange(canvas) - offset
    position = jnp.clip((pixel + 0.5) * source / target - 0.5, 0, source - 1)
    weights = jnp.maximum(1 - jnp.abs(position[:, None] - jnp.arange(source)), 0)
    inside = (pixel >= 0) & (pixel < target)
    return weights * inside[:, None]


def paste(image: jax.Array, cutout: jax.Array, box: tuple[jax.Array, ...]) -> jax.Array:
    """Lays a cut-out [h, w, 4], RGBA in 0..1, over an image [H, W, 3].

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
    """Returns the smallest and the largest [height, width] of a cut-out on a `full` image."""
    return full // 2, full * 3 // 4


def box_of(
    full: jax.Array, tall: jax.Array | bool, extent: jax.Array, bottom_right: jax.Array
) -> tuple[jax.Array, ...]:
    """Returns (top, left, height, width) of a cut-out, which spans the image in one direction.

    Args:
        full: [height, width] of the image, in pixels like all others.
        tall: whether the cut-out stands beside the person; otherwise it lies across.
        extent: height of a cut-out that lies across, width of one that stands beside.
        bottom_right: [2] bool, at the bottom and not at the top, on the right and not on the left.
    """
    spans = jnp.where(tall, jnp.array([1, 0]), jnp.array([0, 1]))
    size = jnp.where(spans, full, extent)
    return (*jnp.where(bottom_right, full - size, 0), *size)


def realistic_occlusion(key: jax.Array, image: jax.Array, bank: OccluderBank) -> jax.Array:
    """Pastes one random cut-out, mirrored, into a random corner of the image [H, W, 3] (ROA).

    A tall cut-out spans the height and 1/2 to 3/4 of the width; any other spans the width and 1/2
    to 3/4 of the height.
    """
    which_key, size_key, corner_key = jax.random.split(key, 3)
    which = jax.random.randint(which_key, (), 0, len(bank.images))
    cutout = bank.images[which][:, ::-1].astype(jnp.float32) / 255
    full = jnp.array(image.shape[:2])
    shortest, longest = extents(full)
    extent = jax.random.randint(size_key, (2,), shortest, longest + 1)
    bottom_right = jax.random.bernoulli(corner_key, shape=(2,))
    return paste(image, cutout, box_of(full, bank.tall[which], extent, bottom_right))


def random_erasing(key: jax.Array, image: jax.Array, area: tuple = AREA) -> jax.Array:
    """Replaces a random rectangle of the image [H, W, 3] by normal noise a pixel."""
    *rectangle_keys, noise_key = jax.random.split(key, 4)
    corner, size = random_rectangle(rectangle_keys, image.shape[:2], area)
    noise = jax.random.normal(noise_key, image.shape)
    return jnp.where(inside(corner, size, image.shape[:2]), noise, image)


def rectangle_of_another(key: jax.Array, image: jax.Array, donor: jax.Array) -> jax.Array:
    """Replaces a random rectangle of the image [H, W, 3] by one of the donor of the same size.

    FED cuts obstacles out of training images by hand. Here nothing says what the rectangle shows,
    so background is pasted too. A bank made from boxes gives cut-outs like FED's.
    """
    *rectangle_keys, source_key = jax.random.split(key, 4)
    full = image.shape[:2]
    corner, size = random_rectangle(rectangle_keys, full)
    source = jax.random.randint(source_key, (2,), 0, jnp.array(full) - size + 1)
    moved = jnp.roll(donor, corner - source, axis=(0, 1))
    return jnp.where(inside(corner, size, full), moved, image)


def person_in_front(key: jax.Array, image: jax.Array, donor: jax.Array) -> jax.Array:
    """Puts the person of the donor in front of the person of the image, both [H, W, 3].

    No mask of the person exists; the middle of the donor stands for it, see `body_mask`. This
    cut-out is mirrored half of the time, scaled by 0.8 to 1, and stands on the lower edge, its
    middle up to W/4 from the left or the right. It covers 1/4 to just over 1/2 of the width.
    """
    mirror_key, scale_key, place_key, side_key = jax.random.split(key, 4)
    height, width, _ = image.shape
    mask, columns = body_mask(height, width)
    cutout = jnp.concatenate([donor[:, columns], mask[..., None]], axis=-1)
    cutout = jnp.where(jax.random.bernoulli(mirror_key), cutout[:, ::-1], cutout)
    scale = jax.random.uniform(scale_key, minval=0.8, maxval=1.0)
    size = jnp.round(scale * jnp.array(mask.shape)).astype(jnp.int32)
    middle = jax.random.randint(place_key, (), 0, width // 4 + 1)
    middle = jnp.where(jax.random.bernoulli(side_key), width - middle, middle)
    return paste(image, cutout, (height - size[0], middle - size[1] // 2, *size))


def body_mask(height: int, width: int) -> tuple[np.ndarray, slice]:
    """Returns the alpha [height, w] of a person's usual place, and its w columns of the picture.

    The mask is a semicircle on a rectangle that reaches the lower edge; it fades within w / 8.
    """
    margin = round(width * (1 - 0.6) / 2)  # in a re-ID picture the person has 0.6 of the width
    body = width - 2 * margin
    radius = body / 2
    y, x = np.arange(height)[:, None] + 0.5, np.arange(body) + 0.5
    reach = np.hypot(x - radius, np.maximum(radius - y, 0))
    alpha = np.clip((radius - reach) / (body / 8), 0, 1)
    return alpha.astype(np.float32), slice(margin, width - margin)


def random_rectangle(
    keys: Sequence[jax.Array], full: tuple[int, int], area: tuple[float, float] = AREA
) -> tuple[jax.Array, jax.Array]:
    """Draws corner [top, left] and size [height, width] of a rectangle in an image of size `full`.

    Width / height is 0.3 to 3.3. The first of ten tries that fits counts; if none fits, the size is
    0. keys: of the area, the aspect and the place; area: smallest and largest share of the image.
    """
    height, width = full
    area_key, aspect_key, place_key = keys
    low, high = area
    area = height * width * jax.random.uniform(area_key, (10,), minval=low, maxval=high)
    bound = math.log(1 / 0.3)
    aspect = jnp.exp(jax.random.uniform(aspect_key, (10,), minval=-bound, maxval=bound))
    sizes = jnp.round(jnp.sqrt(jnp.stack([area / aspect, area * aspect], axis=1)))
    fits = (sizes < jnp.array([height, width])).all(axis=1)
    size = jnp.where(fits.any(), sizes[jnp.argmax(fits)], 0).astype(jnp.int32)
    free = jnp.array([height, width]) - size + 1
    return jax.random.randint(place_key, (2,), 0, free), size


def inside(corner: jax.Array, size: jax.Array, full: tuple[int, int]) -> jax.Array:
    """Returns the pixels of a rectangle in an image of `full` pixels as [height, width, 1] bool."""
    row, column = jnp.arange(full[0])[:, None], jnp.arange(full[1])
    (top, left), (bottom, right) = corner, corner + size
    return ((row >= top) & (row < bottom) & (column >= left) & (column < right))[..., None]


def other_identity(key: jax.Array, labels: jax.Array, label: jax.Array) -> jax.Array:
    """Draws the index of an image of a batch, labels [B], that shows another identity."""
    return jax.random.categorical(key, jnp.where(labels == label, -jnp.inf, 0.0))


def occlusion_of(
    kind: str, bank: OccluderBank | None, images: jax.Array, labels: jax.Array
) -> Callable[[jax.Array, jax.Array, jax.Array], jax.Array]:
    """Returns what makes an occluded view: fn(key, image in 0..1, its label) -> image.

    Args:
        kind: `config.views.occlusion`.
        bank: cut-outs, for "roa".
        images, labels: the batch, uint8 [B, H, W, 3] and [B], at least two identities. "rectangle"
            and "person" take a part of an image that shows somebody else.
    """

    def beside_another(view: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        def occlude(key, image, label):
            donor_key, view_key = jax.random.split(key)
            donor = images[other_identity(donor_key, labels, label)]
            return view(view_key, image, from_uint8(donor))

        return occlude

    return {
        "roa": lambda key, image, label: realistic_occlusion(key, image, bank),
        "erasing": lambda key, image, label: random_erasing(key, image),
        "rectangle": beside_another(rectangle_of_another),
        "person": beside_another(person_in_front),
    }[kind]
