"""The bootstrap over people, against groups that are drawn picture by picture."""

import numpy as np
import pytest

from dpeformer_jax.features import unit_length
from dpeformer_jax.retrieval import calibration_bootstrap
from dpeformer_jax.retrieval.calibration_bootstrap import interval, mirrored, resample
from dpeformer_jax.retrieval.calibration_pairs import People, measure
from dpeformer_jax.retrieval.thresholds import threshold_of

CENTRES = np.random.default_rng(99).normal(size=(40, 32)) / 6


def pairs_of(people, seed, each=8):
    """Pairs of people who wear one of 40 kinds of clothes, and the number of their pictures."""
    rng = np.random.default_rng(seed)
    own = CENTRES[rng.integers(0, 40, people)] + 0.8 * rng.normal(size=(people, 32)) / 6
    shown = np.repeat(np.arange(people), each)
    features = own[shown] + 1.1 * rng.normal(size=(len(shown), 32)) / 6
    who = People(shown, np.tile(np.arange(each) % 2, people))
    features = {"x": unit_length(features.astype(np.float32))}
    none = {"x": np.zeros(0)}
    return measure(features, None, who, {"x": ("x",)}, 0.1, none)["x"], who.images


def rate_at(pairs, threshold):
    return np.searchsorted(pairs.nearest, threshold, side="right") / pairs.impostors


def test_a_resample_is_a_group_of_people_drawn_anew(monkeypatch):
    """The rates of two groups, from the weights of each pair instead of copies of pictures."""
    monkeypatch.setattr(calibration_bootstrap, "RESAMPLES", 20)
    pairs, images = pairs_of(15, seed=0)
    rates = np.array([0.02])
    chosen = np.array([threshold_of(pairs.nearest, int(0.02 * pairs.impostors))])
    found = resample(pairs, images, rates, chosen)
    rng, before = np.random.default_rng(0), None
    for place in range(-1, 20):
        times = rng.multinomial(15, np.full(15, 1 / 15))
        weights = times[pairs.nearest_of[:, 0]] * times[pairs.nearest_of[:, 1]]
        group = np.repeat(pairs.nearest, weights)
        drawn = np.repeat(np.arange(15), times)
        total = 64 * sum(a != b for i, a in enumerate(drawn) for b in drawn[:i])
        own = threshold_of(group, int(rates[0] * total + 1e-9))
        if before is not None:
            assert found.threshold[place, 0] == pytest.approx(own)
            assert found.rate[place, 0] == pytest.approx(rate_at(pairs, own))
            assert found.new_rate[place, 0] == pytest.approx((group <= before).sum() / total)
            genuine = np.repeat(pairs.genuine, times[pairs.genuine_of])
            assert found.accepted[place, 0] == pytest.approx((genuine <= chosen[0]).mean())
        before = own


def test_a_group_whose_threshold_was_not_kept_has_an_unknown_end():
    pairs, images = pairs_of(15, seed=0)
    short = pairs._replace(nearest=pairs.nearest[:300], nearest_of=pairs.nearest_of[:300])
    rate = np.array([290 / pairs.impostors])
    found = resample(short, images, rate, np.array([threshold_of(short.nearest, 290)]))
    assert np.isinf(found.threshold).mean() > 0.1 and interval(found.rate[:, 0]) is None
    assert mirrored(found.threshold[:, 0], 0.3) is None


def test_the_rate_of_new_people_lies_in_its_interval_as_often_as_promised(monkeypatch):
    monkeypatch.setattr(calibration_bootstrap, "RESAMPLES", 200)
    rates, held = np.array([0.01]), 0
    for seed in range(40):
        (pairs, images), (others, _) = (pairs_of(40, seed=s) for s in (seed, 1000 + seed))
        chosen = threshold_of(pairs.nearest, int(0.01 * pairs.impostors))
        low, high = interval(resample(pairs, images, rates, np.array([chosen])).new_rate[:, 0])
        held += low <= rate_at(others, chosen) <= high
    assert held >= 35


def test_a_mirrored_interval_lies_on_the_other_side():
    values = np.linspace(0.2, 0.6, 1001)
    assert mirrored(values, 0.5) == pytest.approx((0.41, 0.79))
    assert mirrored(values, 0.1).low == 0
