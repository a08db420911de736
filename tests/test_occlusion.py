"""Pasting cut-outs and random erasing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from dpeformer_jax.training.occlusion import (
    OccluderBank,
    paste,
    random_erasing,
    realistic_occlusion,
    resize_matrix,
)

PERSON = np.full((64, 32, 3), 0.25, np.float32)


def solid_bank(tall):
    return OccluderBank(jnp.full((1, 8, 8, 4), 255, jnp.uint8), jnp.array([tall]))


def covered(tall, count=100):
    occlude = jax.jit(partial(realistic_occlusion, image=PERSON, bank=solid_bank(tall)))
    keys = jax.random.split(jax.random.key(0), count)
    return np.stack([np.asarray(occlude(key))[..., 0] == 1 for key in keys])


def test_resize_places_the_cutout_and_leaves_the_rest_alone():
    matrix = np.asarray(resize_matrix(4, 6, 2, 10))
    np.testing.assert_allclose(matrix.sum(axis=1), [0, 0, 1, 1, 1, 1, 1, 1, 0, 0], atol=1e-6)


def test_paste_blends_by_alpha():
    cutout = np.zeros((4, 4, 4), np.float32)
    cutout[:, :2] = [1, 0, 0, 1]
    cutout[:, 2:] = [0, 1, 0, 0.5]
    pasted = paste(np.zeros((4, 4, 3), np.float32), cutout, (0, 0, 4, 4))
    np.testing.assert_allclose(pasted[:, :2], np.broadcast_to([1, 0, 0], (4, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(pasted[:, 2:], np.broadcast_to([0, 0.5, 0], (4, 2, 3)), atol=1e-6)


def test_a_tall_cutout_stands_beside_and_a_wide_one_lies_across():
    beside, across = covered(tall=True), covered(tall=False)
    widths = beside.any(axis=1).sum(axis=1)
    assert beside.any(axis=2).all() and set(widths) == set(range(16, 25))
    heights = across.any(axis=2).sum(axis=1)
    assert across.any(axis=1).all() and 32 <= heights.min() < 36 and 44 < heights.max() <= 48


def test_every_corner_is_used():
    beside, across = covered(tall=True), covered(tall=False)
    assert {bool(x) for x in beside[:, 0, 0]} == {True, False}
    assert {bool(x) for x in across[:, 0, 0]} == {True, False}
    assert (beside[:, 0, 0] ^ beside[:, 0, -1]).all() and (across[:, 0, 0] ^ across[:, -1, 0]).all()


def test_cutouts_are_mirrored():
    images = np.zeros((1, 8, 8, 4), np.uint8)
    images[:, :, :4] = [255, 0, 0, 255]
    bank = OccluderBank(jnp.asarray(images), jnp.array([False]))
    pasted = realistic_occlusion(jax.random.key(0), PERSON, bank)
    red = np.asarray(pasted)[..., 0] == 1
    assert red[:, -8:].any() and not red[:, :8].any()


def test_every_cutout_of_the_bank_is_used():
    colours = np.zeros((5, 4, 4, 4), np.uint8)
    colours[..., 3] = 255
    colours[..., 0] = np.arange(5)[:, None, None] * 50
    bank = OccluderBank(jnp.asarray(colours), jnp.zeros(5, bool))
    occlude = jax.jit(jax.vmap(lambda key: realistic_occlusion(key, PERSON, bank)))
    pasted = np.asarray(occlude(jax.random.split(jax.random.key(0), 60)))
    seen = {round(float(v) * 255) for v in np.unique(pasted.round(4)) if v != 0.25}
    assert {0, 50, 100, 150, 200} <= seen


def test_erasing_puts_noise_in_one_rectangle_of_the_stated_area():
    erase = jax.jit(jax.vmap(lambda key: random_erasing(key, PERSON)))
    changed = np.asarray(erase(jax.random.split(jax.random.key(0), 200)) != 0.25).any(axis=-1)
    shares = changed.mean(axis=(1, 2))
    assert shares.min() >= 0.04 and shares.max() <= 0.42 and np.ptp(shares) > 0.25
    boxes = [
        rows.sum() * columns.sum()
        for rows, columns in zip(changed.any(axis=2), changed.any(axis=1), strict=True)
    ]
    np.testing.assert_array_equal(boxes, changed.sum(axis=(1, 2)))


def test_resize_equals_pillows_bilinear_when_it_enlarges():
    crop = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    rows, columns = resize_matrix(5, 20, 0, 20), resize_matrix(7, 21, 0, 21)
    ours = rows @ crop.astype(np.float32) @ columns.T
    theirs = Image.fromarray(crop).resize((21, 20), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=1.0)
