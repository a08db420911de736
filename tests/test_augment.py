"""The two views."""

from functools import partial

import jax
import numpy as np
import pytest

from dpeformer_jax.training.augment import color_jitter, flip_and_shift, one_view, two_views

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 16, 3), np.uint8)


def keys(count):
    return jax.random.split(jax.random.key(0), count)


def test_occluded_view_is_the_clean_view_with_an_occlusion():
    views = two_views(keys(1)[0], IMAGE, 3, 0.1, lambda key, image: image.at[:8].set(0.0))
    np.testing.assert_array_equal(views[0, 8:], views[1, 8:])
    np.testing.assert_array_equal(views[1, :8], -1.0)
    assert views.shape == (2, 32, 16, 3) and np.abs(views).max() <= 1


def test_a_shifted_image_is_a_crop_of_the_padded_one_or_its_mirror():
    image = IMAGE / np.float32(255)
    padded = [np.pad(x, ((2, 2), (2, 2), (0, 0))) for x in (image, image[:, ::-1])]
    crops = {
        (flip, top, left): padded[flip][top : top + 32, left : left + 16].tobytes()
        for flip in range(2)
        for top in range(5)
        for left in range(5)
    }
    found = set()
    for shifted in jax.vmap(partial(flip_and_shift, image=image, padding=2))(keys(200)):
        matches = [place for place, crop in crops.items() if crop == np.asarray(shifted).tobytes()]
        assert len(matches) == 1
        found.add(matches[0])
    assert {place[0] for place in found} == {0, 1} and len(found) > 30


def test_jitter_changes_colours_within_a_tenth():
    grey = np.full((4, 4, 3), 0.5, np.float32)
    values = np.stack([color_jitter(key, grey, 0.1) for key in keys(50)])
    assert 0.45 - 1e-6 <= values.min() < 0.47 and 0.53 < values.max() <= 0.55 + 1e-6


def test_jitter_is_brightness_contrast_saturation():
    key = keys(1)[0]
    brightness, contrast, saturation = np.asarray(
        jax.random.uniform(key, (3,), minval=0.9, maxval=1.1)
    )
    grey_of = np.array([0.299, 0.587, 0.114])
    expected = np.clip(IMAGE / 255 * brightness, 0, 1)
    mean = (expected @ grey_of).mean()
    expected = np.clip(mean + (expected - mean) * contrast, 0, 1)
    grey = (expected @ grey_of)[..., None]
    expected = np.clip(grey + (expected - grey) * saturation, 0, 1)
    np.testing.assert_allclose(color_jitter(key, IMAGE / np.float32(255), 0.1), expected, atol=1e-5)


def test_views_are_a_function_of_the_key():
    make = jax.vmap(
        partial(two_views, padding=3, jitter=0.1, occlude=lambda key, image: image), (0, None)
    )
    first, second = make(keys(3), IMAGE), make(keys(3), IMAGE)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first[0] - first[1]).max() > 0


@pytest.mark.slow
def test_one_view_is_a_shifted_crop_of_which_a_share_loses_a_rectangle():
    view = jax.jit(jax.vmap(partial(one_view, image=IMAGE, padding=3, jitter=0.0, erasing=0.5)))(
        keys(400)
    )
    whole = jax.jit(jax.vmap(partial(one_view, image=IMAGE, padding=3, jitter=0.0, erasing=0.0)))(
        keys(400)
    )
    assert np.abs(whole).max() <= 1  # normalised pixels, of no noise
    changed = (view != whole).any(axis=-1)
    erased = changed.any(axis=(1, 2))
    assert 0.4 < erased.mean() < 0.6
    for place in changed[erased]:
        rows, columns = np.flatnonzero(place.any(axis=1)), np.flatnonzero(place.any(axis=0))
        box = place[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.all() and 0.01 < box.size / place.size < 0.36
