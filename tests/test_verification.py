"""True-accept rates from bins against a sort of all impostor distances."""

import numpy as np
import plain_scores
import pytest

from dpeformer_jax.retrieval.ranking import rank
from dpeformer_jax.retrieval.shares import Share
from dpeformer_jax.retrieval.verification import Impostors, as_dict, true_accept_rates

RATES = np.array([0.5, 1e-1, 1e-2, 1e-3])


def binned(distances, bins=64, error=0.0):
    width = 4 / bins
    places = np.minimum(distances // width, bins - 1).astype(int)
    return Impostors(np.bincount(places, minlength=bins), width, error)


def test_by_hand():
    impostors = binned(np.array([0.5, 1.0, 2.0, 3.0]), bins=4096)
    found = true_accept_rates(
        np.array([0.1, 0.7, 1.5, 3.9]), impostors, np.array([0, 0.25, 0.5, 1])
    )
    np.testing.assert_array_equal(found.share, [np.nan, 0.5, 0.75, 1])
    np.testing.assert_array_equal(found.error, [np.nan, 0, 0, 0])


@pytest.mark.parametrize("bins", [16, 256, 65536])
@pytest.mark.parametrize("tied", [False, True])
def test_the_truth_lies_within_the_stated_error(bins, tied):
    rng = np.random.default_rng(0)
    genuine, impostors = rng.uniform(0, 2, 500), rng.uniform(1, 4, 20_000)
    if tied:
        genuine, impostors = np.round(genuine, 1), np.round(impostors, 1)
    found = true_accept_rates(genuine, binned(impostors, bins), RATES)
    expected = [plain_scores.true_accept_rate(genuine, impostors, rate) for rate in RATES]
    assert (found.share <= expected).all() and (expected <= found.share + found.error).all()
    assert bins < 65536 or tied or (found.error < 0.01).all()


def test_an_error_of_the_distances_widens_what_is_stated():
    rng = np.random.default_rng(0)
    genuine, impostors = rng.uniform(0, 2, 500), rng.uniform(1, 4, 20_000)
    exact, blurred = (
        true_accept_rates(genuine, binned(impostors, 65536, error), RATES) for error in (0, 0.05)
    )
    assert (blurred.share <= exact.share).all() and (blurred.error >= exact.error).all()
    assert (blurred.error[1:] > 0.03).all()  # the first rate accepts every genuine pair


@pytest.mark.parametrize("camera_rule", [True, False])
def test_the_rates_of_a_test_set(camera_rule):
    from dpeformer_jax.retrieval.protocol import matches

    query, gallery, *labels = plain_scores.crowd(queries=60, images=300)
    pairs = matches(*labels, camera_rule)
    found = rank(query, Share.of_all(gallery), *labels, pairs=pairs)["holistic"]
    told = as_dict(found.distances[np.isfinite(found.distances)], found.impostors)
    matrix = plain_scores.distances(query["holistic"], gallery["holistic"])
    kinds = plain_scores.genuine_and_impostors(matrix, *labels, camera_rule)
    for name, rate in (("tar@1e-2", 1e-2), ("tar@1e-3", 1e-3)):
        assert told[name] == pytest.approx(plain_scores.true_accept_rate(*kinds, rate), abs=1e-12)
    assert told["roc"]["error"] == 0
    for rate, share in zip(told["roc"]["far"], told["roc"]["tar"], strict=True):
        if share is not None:
            assert share == pytest.approx(plain_scores.true_accept_rate(*kinds, rate), abs=0.02)


def test_a_rate_that_the_pairs_cannot_show_is_not_told():
    told = as_dict(np.array([0.1]), binned(np.linspace(1, 3, 999)))
    assert (told["tar@1e-2"], told["tar@1e-3"], told["tar@1e-4"]) == (1, None, None)


def test_thresholds_beyond_the_bins_accept_the_first_bin_or_all():
    impostors = Impostors(np.array([3, 4]), 1.0, 0.0)
    found = impostors.at_most(np.array([-5, 0.5, 1.5, 1e30, np.inf]))
    assert found.tolist() == [3, 3, 7, 7, 7]
