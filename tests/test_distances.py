"""Distances on the devices and their stated error, exact ones, blocks that fit in memory."""

import jax
import numpy as np
import plain_scores
import pytest

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.features import CONCAT
from dpeformer_jax.retrieval.distances import (
    centre_of,
    centred,
    exact,
    finite,
    gallery_blocks,
    largest_distance,
    mean_squared,
    targets_of,
)
from dpeformer_jax.runtime.devices import data_mesh


def on_devices(query, gallery):
    centre = centre_of(query)
    return map(np.asarray, mean_squared(centred(query, centre), centred(gallery, centre)))


def far_from_0(count, width, seed):
    """Features whose differences are small beside them, as before a network has learnt."""
    return {
        "f": 10 + np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    }


@pytest.mark.parametrize("width", [16, 768, 3072, 12288])
@pytest.mark.parametrize("drawn", ["normal", "far from 0", "copies"])
def test_the_error_is_a_fraction_of_its_bound(width, drawn):
    """So that the bound, which is one of probability, leaves room for other programs."""
    query, gallery = far_from_0(40, width, 0), far_from_0(60, width, 1)
    if drawn == "normal":
        query, gallery = ({"f": side["f"] - 10} for side in (query, gallery))
    if drawn == "copies":
        gallery = {"f": np.concatenate([query["f"], query["f"][:20]])}
    found, bound = on_devices(query, gallery)
    expected = plain_scores.distances(query["f"], gallery["f"])
    assert (abs(found - expected) <= bound / 4).all()
    assert (bound <= 1e-4 * (1 + expected.max())).all()


def test_exact_distances_are_those_of_the_stored_numbers():
    query, gallery, *_ = plain_scores.crowd(dtype=np.float16)
    rows, columns = (np.random.default_rng(0).integers(0, 40, 600) for _ in range(2))
    found = exact([*query.values()], [*gallery.values()], rows, columns)
    expected = plain_scores.mean_distances(query, gallery)[rows, columns]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_the_distance_of_all_features_together_is_that_of_their_concatenation():
    query, gallery, *_ = plain_scores.crowd()
    found, _ = on_devices(query, gallery)
    whole = (np.concatenate([*side.values()], axis=1) / np.sqrt(2) for side in (query, gallery))
    np.testing.assert_allclose(found, plain_scores.distances(*whole), atol=1e-5)


def test_targets():
    assert targets_of(["a"]) == {"a": ("a",)}
    assert targets_of(["a", "b"]) == {"a": ("a",), "b": ("b",), CONCAT: ("a", "b")}


@pytest.mark.parametrize("devices", [1, None])
@pytest.mark.parametrize("images", [0, 1, 200, 5000])
def test_blocks_cover_the_gallery_and_fit_in_memory(devices, images):
    gallery = {"f": np.arange(images * 512, dtype=np.float32).reshape(images, 512)}
    mesh = data_mesh(jax.devices()[:devices])
    stop, shapes = 0, set()
    for places, block in gallery_blocks(gallery, mesh, memory_mb=1 + mesh.size):
        assert places.start == stop
        stop = places.stop
        np.testing.assert_array_equal(block["f"][: stop - places.start], gallery["f"][places])
        assert not np.asarray(block["f"])[stop - places.start :].any()
        assert block["f"].nbytes * 3 <= (1 + mesh.size) * 2**20
        shapes.add(block["f"].shape)
    assert stop == images and len(shapes) <= 1


def test_no_distance_is_above_the_largest():
    query, gallery, *_ = plain_scores.crowd()
    largest = largest_distance([query["parts"]], [gallery["parts"]])
    assert plain_scores.distances(query["parts"], gallery["parts"]).max() <= largest <= 4.001


@pytest.mark.parametrize("width", [8192, 9001])
def test_an_exact_distance_does_not_depend_on_the_other_pairs(width):
    rng = np.random.default_rng(0)
    query = rng.standard_normal((1, width)).astype(np.float32)
    gallery = np.tile(rng.standard_normal((1, width)).astype(np.float32), (33, 1))
    found = exact([query], [gallery], np.zeros(33, int), np.arange(33))  # the last one alone
    assert len(set(found)) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e19])
def test_a_feature_that_float32_cannot_square_is_an_error(value):
    features = np.ones((3, 4), np.float32)
    finite(features * np.float32(1e17))
    finite(np.full((3, 4), 65504, np.float16))
    finite(np.ones((3, 4), np.float64))
    features[1, 2] = value
    with pytest.raises(UserError, match="not finite"):
        finite(features)
