"""Bootstrap intervals against a plain bootstrap, a closed form and known truths."""

import numpy as np
import pytest

from dpeformer_jax.retrieval.confidence import FEWEST, interval


def people(identities, seed, spread=0.2):
    """Values of one to four queries an identity, which resemble each other, and who they show."""
    rng = np.random.default_rng(seed)
    shown = np.repeat(np.arange(identities), rng.integers(1, 5, identities))
    own = rng.normal(0.5, spread, identities)
    return own[shown] + rng.normal(0, 0.05, len(shown)), shown


def test_it_is_the_interval_of_drawing_identities_one_by_one():
    values, shown = people(30, seed=0)
    groups = [values[shown == identity] for identity in range(30)]
    drawn = np.random.default_rng(1).integers(0, 30, (9_999, 30))
    means = [np.concatenate([groups[i] for i in row]).mean() for row in drawn]
    assert interval(values, shown) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.003)


def test_of_many_people_it_is_the_normal_interval():
    values = np.random.default_rng(0).normal(0.3, 0.1, 3000)
    half = 1.96 * values.std() / np.sqrt(3000)
    expected = values.mean() - half, values.mean() + half
    assert interval(values, np.arange(3000)) == pytest.approx(expected, abs=half / 20)


def test_it_holds_the_truth_as_often_as_it_says():
    found = [interval(*people(40, seed)) for seed in range(50)]
    assert 43 <= sum(low <= 0.5 <= high for low, high in found) < 50


def test_more_pictures_of_the_same_people_tell_nothing_new():
    values, shown = people(20, seed=0)
    found = interval(np.tile(values, 10), np.tile(shown, 10))
    assert found == pytest.approx(interval(values, shown))


def test_it_does_not_depend_on_the_order_of_queries_or_on_chance():
    values, shown = people(20, seed=0)
    assert interval(values, shown) == interval(values, shown)
    assert interval(values[::-1], shown[::-1]) == pytest.approx(interval(values, shown))


def test_equal_values_have_an_interval_without_width():
    assert interval(np.full(40, 0.25), np.arange(40)) == (0.25, 0.25)


@pytest.mark.parametrize("identities", [0, 1, FEWEST - 1])
def test_too_few_identities_have_no_interval(identities):
    assert interval(*people(identities, seed=0)) is None
    assert interval(*people(FEWEST, seed=0)) is not None
