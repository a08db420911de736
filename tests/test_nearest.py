"""The nearest images against a float64 sort of all pairs, where float32 alone would go wrong."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from many_devices import environment_with

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.retrieval import nearest as module
from dpeformer_jax.retrieval import running_top_k
from dpeformer_jax.retrieval.nearest import nearest

ROOT = Path(__file__).parents[1]


def noise(images=60, width=8, seed=0):
    return np.random.default_rng(seed).standard_normal((images, width)).astype(np.float32)


def nearly_equal():
    """Images at distances from the first that differ by less than float32 resolves."""
    features = np.tile(noise(1), (60, 1))
    features[1:, 0] = 5
    features[1:, 1] += 1e-5 * np.random.default_rng(0).permutation(59)
    return features


FEATURES = {
    "noise": noise(),
    "nearly equal": nearly_equal(),
    "far from the origin": noise() + 1000,
    "of all sizes": noise() * np.geomspace(1e-3, 1e3, 60, dtype=np.float32)[:, None],
    "grid": np.random.default_rng(0).integers(0, 2, (60, 8)).astype(np.float32),
    "two points": np.eye(2, 8, dtype=np.float32)[np.random.default_rng(0).integers(0, 2, 60)],
    "one point": np.full((60, 8), 0.1, np.float32),
    "halves": noise().astype(np.float16),
}


def by_sorting(query, gallery, count):
    """Places and distances by the plain formula, for lists of features."""
    distances = np.mean(
        [
            np.square(q[:, None].astype(float) - g.astype(float)).sum(axis=2)
            for q, g in zip(query, gallery, strict=True)
        ],
        axis=0,
    )
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(distances, order, axis=1), distances.max(axis=1)


def assert_equals_sorting(found, query, gallery, count):
    places, distances, largest = by_sorting(query, gallery, count)
    np.testing.assert_array_equal(found.places, places)
    tolerance = {"rtol": 1e-5, "atol": 1e-5 * largest.max()}
    np.testing.assert_allclose(found.distances, distances, **tolerance)
    np.testing.assert_allclose(found.largest, largest, **tolerance)


@pytest.mark.parametrize("count", [1, 5, 90])
@pytest.mark.parametrize("kind", FEATURES)
def test_equals_a_sort_of_all_pairs(kind, count):
    features = FEATURES[kind]
    query, gallery = features[:10].astype(np.float32), features
    found = nearest({"": query}, {"": gallery}, count)
    assert_equals_sorting(found, [query], [gallery], count)


@pytest.mark.parametrize("block", [7, 30])
@pytest.mark.parametrize("kind", FEATURES)
def test_blocks_and_symmetry_do_not_matter(monkeypatch, kind, block):
    monkeypatch.setattr(running_top_k, "BLOCK", block)
    features = {"": FEATURES[kind]}
    for query in (features, dict(features)):  # the very object, and an equal one
        assert_equals_sorting(nearest(query, features, 5), *[[FEATURES[kind]]] * 2, 5)


@pytest.mark.parametrize("kind", ["nearly equal", "two points"])
def test_few_candidates_at_first_are_enough(monkeypatch, kind):
    monkeypatch.setattr(module, "SPARE", 3)
    features = {"": FEATURES[kind]}
    assert_equals_sorting(nearest(features, features, 3), *[[FEATURES[kind]]] * 2, 3)


def test_the_distance_of_several_features_is_their_mean():
    query = {"a": noise(5, seed=1), "b": noise(5, width=3, seed=2)}
    gallery = {"b": noise(40, width=3, seed=3), "a": noise(40, seed=4).astype(np.float16)}
    found = nearest(query, gallery, 6)
    assert_equals_sorting(found, *([side["a"], side["b"]] for side in (query, gallery)), 6)


def test_the_gallerys_order_does_not_matter():
    order = np.random.default_rng(1).permutation(60)
    found = nearest({"": noise(9)}, {"": noise()[order]}, 5)
    np.testing.assert_array_equal(order[found.places], nearest({"": noise(9)}, {"": noise()}, 5)[0])


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_features_that_are_no_numbers_are_an_error(side, value):
    sides = [noise(), noise()]
    sides[side][3, 2] = value
    with pytest.raises(UserError, match="not finite"):
        nearest({"": sides[0]}, {"": sides[1]}, 3)


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0)])
def test_nothing_to_compare_is_an_error(sizes):
    with pytest.raises(ValueError, match=f"{sizes[0]} queries among {sizes[1]} gallery"):
        nearest(*({"": noise(size)} for size in sizes), 3)


def test_one_image():
    assert_equals_sorting(nearest({"": noise(1)}, {"": noise(1)}, 3), [noise(1)], [noise(1)], 3)


@pytest.mark.slow
def test_the_number_of_devices_does_not_matter():
    """This file as a program, on four devices."""
    environment = environment_with(devices=4)
    subprocess.run([sys.executable, __file__], cwd=ROOT, env=environment, check=True)


def main():
    import jax

    assert jax.device_count() == 4
    running_top_k.BLOCK = 13
    for kind in ("noise", "nearly equal", "grid", "one point"):
        features = FEATURES[kind]
        gallery = {"": features}
        for query in (gallery, {"": features[:10]}):
            assert_equals_sorting(nearest(query, gallery, 5), query.values(), [features], 5)


if __name__ == "__main__":
    main()
