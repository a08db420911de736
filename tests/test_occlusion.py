"""Pasting cut-outs, random erasing, parts of other images."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dpeformer_jax.base.interfaces import OccluderBank
from dpeformer_jax.training.occlusion import (
    body_mask,
    occlusion_of,
    other_identity,
    paste,
    person_in_front,
    random_erasing,
    realistic_occlusion,
    rectangle_of_another,
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


@pytest.mark.slow
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


def elements(jaxpr):
    """How many values all operations of a program give, and those of the programs in it."""
    total = 0
    for equation in jaxpr.eqns:
        total += sum(variable.aval.size for variable in equation.outvars)
        inner = (getattr(value, "jaxpr", None) for value in equation.params.values())
        total += sum(elements(jaxpr) for jaxpr in inner if jaxpr is not None)
    return total


def compiled_with_banks(*sizes):
    """Realistic occlusion with a bank of each size: (traced, compiled, its arguments)."""
    people = np.zeros((16, 64, 32, 3), np.float32)
    keys = jax.random.split(jax.random.key(0), len(people))
    occlude = jax.vmap(realistic_occlusion, (0, 0, None))
    for size in sizes:
        pixels = np.zeros((size, 16, 8, 4), np.uint8)
        bank = jax.device_put(OccluderBank(pixels, np.zeros(size, bool)))
        traced = jax.jit(occlude).trace(keys, people, bank)
        yield traced, traced.lower().compile(), (keys, people, bank)


def test_a_large_bank_costs_the_step_no_more_work_or_memory_than_a_small_one():
    costs = [
        (
            elements(traced.jaxpr.jaxpr),
            compiled.cost_analysis()["flops"],
            compiled.memory_analysis().temp_size_in_bytes,
        )
        for traced, compiled, _ in compiled_with_banks(10, 10_000)
    ]
    assert costs[0] == costs[1]


@pytest.mark.slow
def test_a_large_bank_costs_the_step_no_more_time_than_a_small_one():
    programs = [partial(program, *given) for _, program, given in compiled_with_banks(10, 10_000)]
    small, large = seconds_of(programs)
    assert large < 1.5 * small


def seconds_of(programs, times=60):
    """Medians; the programs take turns, so that what disturbs one disturbs the other."""
    seconds = np.zeros((times, len(programs)))
    for row in seconds:
        for i, program in enumerate(programs):
            start = time.perf_counter()
            jax.block_until_ready(program())
            row[i] = time.perf_counter() - start
    return np.median(seconds, axis=0)


LABELS = jnp.array([3, 3, 7, 7, 0, 0])


def test_a_donor_is_any_image_of_another_identity():
    keys = jax.random.split(jax.random.key(0), 200)
    choose = jax.jit(jax.vmap(other_identity, (0, None, None)))
    assert set(np.asarray(choose(keys, LABELS, 7)).tolist()) == {0, 1, 4, 5}


@pytest.mark.parametrize("kind", ["rectangle", "person"])
def test_what_is_not_of_the_image_is_of_one_of_another_identity(kind):
    own = np.repeat(np.arange(3), 2)  # the one colour channel in which an identity is bright
    images = np.zeros((6, 64, 32, 3), np.uint8)
    images[np.arange(6), ..., own] = 255
    occlude = occlusion_of(kind, None, jnp.asarray(images), LABELS)
    occlude = jax.jit(jax.vmap(jax.vmap(occlude), (0, None, None)))
    keys = jax.random.split(jax.random.key(0), (40, 6))
    views = np.asarray(occlude(keys, images / np.float32(255), LABELS))
    np.testing.assert_allclose(views.sum(axis=-1), 1, atol=1e-5)
    seen = views.max(axis=(2, 3)) > 0.99
    assert (seen.sum(axis=-1) == 2).all()
    assert seen[:, np.arange(6), own].all()
    assert seen.any(axis=0).all()  # either of the others gives


def numbered(offset):
    """An image whose every pixel tells its place; those of two offsets differ."""
    return offset + np.arange(64 * 32 * 3, dtype=np.float32).reshape(64, 32, 3)


def test_a_rectangle_is_one_of_the_donor_from_anywhere_in_it():
    image, donor = numbered(0), numbered(10_000)
    paste_one = jax.jit(jax.vmap(rectangle_of_another, (0, None, None)))
    views = np.asarray(paste_one(jax.random.split(jax.random.key(0), 200), image, donor))
    shares, moves = [], set()
    for view in views:
        rows, columns = np.nonzero(view[..., 0] >= 10_000)
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        source = int(view[top, left, 0] - 10_000) // 3
        y, x = divmod(source, 32)
        expected = image.copy()
        expected[top:bottom, left:right] = donor[y : y + bottom - top, x : x + right - left]
        np.testing.assert_array_equal(view, expected)
        shares.append(len(rows) / (64 * 32))
        moves.add((int(top - y), int(left - x)))
    assert min(shares) >= 0.04 and max(shares) <= 0.42 and np.ptp(shares) > 0.25
    assert len(moves) > 50


stand = jax.jit(jax.vmap(person_in_front, (0, None, None)))


def test_a_person_stands_in_front_at_either_side_on_the_lower_edge():
    black, white = np.zeros((64, 32, 3), np.float32), np.ones((64, 32, 3), np.float32)
    covered = np.asarray(stand(jax.random.split(jax.random.key(0), 200), black, white))[..., 0]
    opaque = covered > 0.99
    assert opaque[:, -1].any(axis=1).all() and not opaque[:, :2].any()
    widths, heights = ((covered > 0).any(axis=axis).sum(axis=1) for axis in (1, 2))
    assert 7 <= widths.min() <= 9 and 16 <= widths.max() <= 18
    assert 50 <= heights.min() <= 52 and 62 <= heights.max() <= 64
    left = opaque[:, -1, :4].any(axis=1)
    right = opaque[:, -1, -4:].any(axis=1)
    assert (left ^ right).all() and 0.3 < left.mean() < 0.7
    assert ((covered > 0.01) & (covered < 0.99)).any(axis=(1, 2)).all()  # soft edges


def test_a_person_in_front_is_mirrored_half_of_the_time():
    donor = np.zeros((64, 32, 3), np.float32)
    donor[:, 16:] = 1
    image = np.full((64, 32, 3), 0.5, np.float32)
    views = np.asarray(stand(jax.random.split(jax.random.key(0), 100), image, donor))[:, -1, :, 0]
    light_first = np.array([row.argmax() < row.argmin() for row in views])
    assert 0.3 < light_first.mean() < 0.7


def test_the_body_is_the_middle_of_a_picture_below_a_round_top():
    alpha, columns = body_mask(256, 128)
    assert alpha.shape == (256, 76) and (columns.start, columns.stop) == (26, 102)
    np.testing.assert_array_equal(alpha, alpha[:, ::-1])
    assert (alpha[38:, 12:-12] == 1).all() and alpha[0].max() < 0.1 and alpha[0, 0] == 0
    assert (np.diff(alpha[:, 0]) >= 0).all()
