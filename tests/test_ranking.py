"""Streamed ranks against whole matrices in float64: ties, blocks, devices, storage."""

import jax
import numpy as np
import plain_scores
import pytest

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.features import CONCAT
from dpeformer_jax.retrieval import counting, distances
from dpeformer_jax.retrieval.distances import targets_of
from dpeformer_jax.retrieval.metrics import Ranking
from dpeformer_jax.retrieval.protocol import Labels, matches
from dpeformer_jax.retrieval.ranking import rank
from dpeformer_jax.retrieval.shares import Share
from dpeformer_jax.runtime.devices import data_mesh


def ranked(query, gallery, of_query, of_gallery, **options):
    return rank(query, Share.of_all(gallery), of_query, of_gallery, **options)


def ranks(of):
    """The ranks of the matches of each query, as plain_scores gives them."""
    counts = np.isfinite(of.distances).sum(axis=1)
    return [np.arange(1, n + 1) + row[:n] for n, row in zip(counts, of.nearer, strict=True)]


def assert_ranks(found, expected):
    assert len(found) == len(expected)
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, plain)


def plain_ranks(query, gallery, of_query, of_gallery, **options):
    """By target."""
    return {
        name: plain_scores.ranks_of_matches(
            plain_scores.mean_distances(
                *({member: side[member] for member in members} for side in (query, gallery))
            ),
            *(of_query, of_gallery),
            **options,
        )
        for name, members in targets_of(query).items()
    }


@pytest.mark.parametrize("people", [plain_scores.crowd, plain_scores.grid])
@pytest.mark.parametrize("camera_rule", [True, False])
def test_ranks_equal_a_sort_of_the_whole_matrix(people, camera_rule):
    scene = people()
    expected = plain_ranks(*scene, camera_rule=camera_rule)
    found = ranked(*scene, pairs=matches(*scene[2:], camera_rule))
    assert found.keys() == expected.keys() == {"holistic", "parts", CONCAT}
    for name, of in found.items():
        assert_ranks(ranks(of), expected[name])


@pytest.mark.parametrize("people", [plain_scores.crowd, plain_scores.grid])
@pytest.mark.parametrize(("queries", "bytes_a_block"), [(7, 1), (512, 1), (16, 2**16)])
def test_blocks_do_not_change_ranks(monkeypatch, people, queries, bytes_a_block):
    scene = people()
    whole = ranked(*scene)
    monkeypatch.setattr(distances, "QUERIES_AT_ONCE", queries)
    monkeypatch.setattr(distances, "MB", bytes_a_block)
    for name, of in ranked(*scene, memory_mb=1).items():
        np.testing.assert_array_equal(of.nearer, whole[name].nearer)
        np.testing.assert_array_equal(of.distances, whole[name].distances)


@pytest.mark.parametrize("people", [plain_scores.crowd, plain_scores.grid])
def test_one_device_and_all_devices_give_the_same_ranks(people):
    scene = people()
    for name, of in ranked(*scene, mesh=data_mesh(jax.devices()[:1])).items():
        np.testing.assert_array_equal(of.nearer, ranked(*scene)[name].nearer)


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_features_far_from_0_and_close_together_are_ranked_exactly(scale):
    """As those of a network that has not learnt anything; float32 alone errs here."""
    rng = np.random.default_rng(0)
    query, gallery, *labels = plain_scores.crowd()
    for side in (query, gallery):
        for name, features in side.items():
            noise = 1e-4 * rng.standard_normal(features.shape)
            side[name] = (scale * (10 + features * 1e-3 + noise)).astype(np.float32)
    expected = plain_ranks(query, gallery, *labels)
    for name, of in ranked(query, gallery, *labels).items():
        assert_ranks(ranks(of), expected[name])


def test_copies_keep_the_gallerys_order():
    query, gallery, of_query, of_gallery = plain_scores.crowd(images=50)
    doubled = {name: np.concatenate([x, x]) for name, x in gallery.items()}
    labels = of_query, Labels(*(np.concatenate([x, x[::-1]]) for x in of_gallery))
    expected = plain_ranks(query, doubled, *labels)
    for name, of in ranked(query, doubled, *labels).items():
        assert_ranks(ranks(of), expected[name])


def test_constant_features_are_ranked_by_place():
    _, _, of_query, of_gallery = plain_scores.crowd()
    query, gallery = (
        {"f": np.full((len(of[0]), 8), 0.3, np.float32)} for of in (of_query, of_gallery)
    )
    expected = plain_ranks(query, gallery, of_query, of_gallery)
    assert_ranks(ranks(ranked(query, gallery, of_query, of_gallery)["f"]), expected["f"])


def test_permuting_the_gallery_or_the_queries_permutes_the_result():
    query, gallery, of_query, of_gallery = plain_scores.crowd()
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(len(of_query[0])), rng.permutation(len(of_gallery[0]))
    expected = ranked(query, gallery, of_query, of_gallery)
    moved = ranked(
        {name: x[rows] for name, x in query.items()},
        {name: x[columns] for name, x in gallery.items()},
        of_query.at(rows),
        of_gallery.at(columns),
    )
    for name, of in moved.items():
        np.testing.assert_array_equal(of.nearer, expected[name].nearer[rows])
        np.testing.assert_array_equal(of.distances, expected[name].distances[rows])


def test_half_precision_changes_distances_by_at_most_the_stated_bound():
    """And its ranks are exact for the rounded numbers (docs/scoring.md)."""
    query, gallery, *labels = plain_scores.crowd(images=400)
    rounded = {name: x.astype(np.float16) for name, x in gallery.items()}
    expected = plain_ranks(query, rounded, *labels)
    for name, of in ranked(query, rounded, *labels).items():
        assert_ranks(ranks(of), expected[name])
    for name in query:
        before = plain_scores.distances(query[name], gallery[name])
        after = plain_scores.distances(query[name], rounded[name])
        assert (abs(after - before) <= 2**-10 * np.sqrt(before) + 2**-22 + 1e-6).all()


def test_impostors_are_counted_by_distance():
    scene = plain_scores.crowd()
    query, gallery, *labels = scene
    for name, of in ranked(*scene).items():
        members = targets_of(query)[name]
        matrix = plain_scores.mean_distances(
            *({member: side[member] for member in members} for side in (query, gallery))
        )
        _, others = plain_scores.genuine_and_impostors(matrix, *labels)
        assert of.impostors.total == len(others)
        edges = np.arange(1, len(of.impostors.counts)) * of.impostors.width
        below = of.impostors.counts.cumsum()[:-1]
        surely, perhaps = (
            np.searchsorted(np.sort(others), edges + sign * of.impostors.error) for sign in (-1, 1)
        )
        assert (surely <= below).all() and (below <= perhaps).all()


def test_labels_of_any_size_are_told_apart():
    """Identities may be numbers of 18 digits, of which float32 and int32 keep nine at best."""
    query, gallery, of_query, of_gallery = plain_scores.crowd()
    large = [
        Labels(np.where(of[0] < 0, of[0], of[0] + 10**17), of[1]) for of in (of_query, of_gallery)
    ]
    expected = ranked(query, gallery, of_query, of_gallery)
    for name, of in ranked(query, gallery, *large).items():
        np.testing.assert_array_equal(of.nearer, expected[name].nearer)


def test_a_gallery_of_one_image():
    of = ranked(
        {"f": np.ones((2, 3), np.float32)},
        {"f": np.zeros((1, 3), np.float32)},
        Labels(np.array([1, 2]), np.array([0, 0])),
        Labels(np.array([1]), np.array([1])),
    )["f"]
    assert_ranks(ranks(of), [np.array([1]), np.array([], int)])
    assert of.impostors.total == 1


@pytest.mark.parametrize("images", [0, 5])
def test_a_gallery_without_anybody_has_no_match(images):
    of = ranked(
        {"f": np.ones((2, 3), np.float32)},
        {"f": np.ones((images, 3), np.float32)},
        Labels(np.array([1, -1]), np.array([0, 0])),
        Labels(np.full(images, -1), np.ones(images, int)),
    )["f"]
    assert not Ranking.of(of).used.any() and of.impostors.total == 0


def test_no_query_is_an_error():
    with pytest.raises(ValueError, match="no query"):
        ranked(
            {"f": np.ones((0, 3), np.float32)},
            {"f": np.ones((2, 3), np.float32)},
            Labels(np.zeros(0, int), np.zeros(0, int)),
            Labels(np.ones(2, int), np.ones(2, int)),
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_features_that_are_no_numbers_are_an_error(value, side):
    scene = plain_scores.crowd()
    scene[side]["parts"][3, 2] = value
    with pytest.raises(UserError, match="not finite"):
        ranked(*scene)


def test_keys_are_counted_below_and_between():
    rng = np.random.default_rng(0)
    keys = np.sort(rng.integers(0, 9, (5, 32)).astype(np.float32), axis=1)
    keys[:, -3:] = np.inf
    low = rng.integers(-1, 11, (5, 40)).astype(np.float32)
    high = low + rng.integers(0, 3, low.shape).astype(np.float32)
    below, between = counting.among(jax.device_put(keys), low, high)
    np.testing.assert_array_equal(below, (keys[:, None] < low[:, :, None]).sum(axis=2))
    inside = (keys[:, None] >= low[:, :, None]) & (keys[:, None] <= high[:, :, None])
    np.testing.assert_array_equal(between, inside.any(axis=2))
