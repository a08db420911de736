"""From features of two versions of the same pictures to thresholds."""

import json

import numpy as np
import pytest

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.features import unit_length
from dpeformer_jax.retrieval import calibration_bootstrap
from dpeformer_jax.retrieval.calibrate import CalibrateSettings, calibrate
from dpeformer_jax.retrieval.calibration_bootstrap import FEWEST
from dpeformer_jax.retrieval.calibration_pairs import People
from dpeformer_jax.retrieval.calibration_text import as_text
from dpeformer_jax.retrieval.thresholds import FEWEST_ACCEPTED, INTERVALS

RATES = (0.002, 0.05, 0.01)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(calibration_bootstrap, "RESAMPLES", 100)


def pictures(people, noise=0.7, each=6, seed=0):
    """Features of people whose pictures differ by the noise, and who they show."""
    rng = np.random.default_rng(seed)
    shown = np.repeat(np.arange(people), each)
    features = {}
    for name in ("holistic", "parts"):
        own = rng.normal(size=(people, 16))[shown]
        features[name] = unit_length((own + noise * rng.normal(size=own.shape)).astype(np.float32))
    return features, People(shown, np.tile(np.arange(each) % 2, people))


def calibrated(people=FEWEST, occluded_noise=0.7, rates=RATES, **changes):
    clean, who = pictures(people, **changes)
    occluded = pictures(people, **changes | {"noise": occluded_noise})[0]
    return calibrate(clean, occluded, who, rates)


def test_each_rate_has_the_largest_threshold_that_keeps_it():
    clean, who = pictures(FEWEST)
    told = calibrate(clean, clean, who, RATES)
    distances = {n: ((x[:, None] - x) ** 2).sum(axis=2) for n, x in clean.items()}
    distances["concat"] = (distances["holistic"] + distances["parts"]) / 2
    upper = np.triu(np.ones((len(who.places),) * 2, bool), 1)
    same = who.places[:, None] == who.places
    for name, found in distances.items():
        impostor = np.sort(found[upper & ~same])
        genuine = found[upper & same & (who.cameras[:, None] != who.cameras)]
        assert [of["far"] for of in told[name]["thresholds"]] == sorted(RATES, reverse=True)
        for of in told[name]["thresholds"]:
            allowed = int(of["far"] * len(impostor) + 1e-9)
            assert impostor[allowed - 1] < of["distance"] < impostor[allowed]
            assert of["cosine"] == pytest.approx(1 - of["distance"] / 2)
            assert of["tar"] == pytest.approx((genuine <= of["distance"]).mean(), abs=0.01)
            assert of["far_interval"][0] <= of["far"] <= of["far_interval"][1]
            assert of["distance_interval"][0] <= of["distance"] <= of["distance_interval"][1]
            low, high = of["far_as_many"]
            assert low <= of["far_interval"][0] and of["far_interval"][1] <= high


def test_the_same_pictures_occluded_by_nothing_accept_the_same():
    clean, who = pictures(FEWEST)
    told = calibrate(clean, clean, who, RATES)
    for of in told.values():
        assert of["pairs"]["occluded"] == of["pairs"]["clean"]
        for at, mixed in zip(
            *(of["pairs"][k]["at_thresholds"] for k in ("clean", "mixed")), strict=True
        ):
            assert (mixed["far"], mixed["tar"]) == pytest.approx((at["far"], at["tar"]), abs=1e-3)
        counts = [
            [of["pairs"][k][p]["pairs"] for k in ("clean", "mixed")]
            for p in ("genuine", "impostor")
        ]
        assert all(mixed == 2 * alone for alone, mixed in counts)


def test_occlusion_that_hides_people_lowers_the_true_accept_rate():
    told = calibrated(occluded_noise=2.0)["concat"]["pairs"]
    rates = [[at["tar"] for at in told[kind]["at_thresholds"]] for kind in ("clean", "mixed")]
    assert all(mixed < 0.7 * clean for clean, mixed in zip(*rates, strict=True))
    assert told["mixed"]["genuine"]["50 %"] > told["clean"]["genuine"]["50 %"] + 0.2


def test_a_rate_of_too_few_pairs_has_no_threshold_but_a_reason():
    told = calibrated(rates=(0.01, 1e-4))["concat"]
    found, none = told["thresholds"]
    assert found["distance"] > 0 and found["reason"] is None
    assert none["far"] == 1e-4 and all(none[name] is None for name in ("distance", *INTERVALS))
    pairs = 36 * FEWEST * (FEWEST - 1) // 2
    assert f"0.0001 of {pairs:,} impostor pairs" in none["reason"]
    assert f"{FEWEST_ACCEPTED} of different distances are needed" in none["reason"]
    assert told["pairs"]["clean"]["at_thresholds"][1] == {"far": None, "tar": None, "needed": None}


def test_few_people_have_thresholds_without_intervals(caplog):
    told = calibrated(people=FEWEST - 1)["concat"]["thresholds"][0]
    assert told["distance"] > 0 and all(told[name] is None for name in INTERVALS)
    assert (
        f"{FEWEST - 1} identities with two pictures of two cameras are too few for intervals"
        in caplog.text
    )


@pytest.mark.parametrize(("people", "each"), [(1, 6), (30, 1)])
def test_without_genuine_or_impostor_pairs_there_is_nothing_to_calibrate(people, each):
    with pytest.raises(UserError, match="calibration needs both"):
        calibrated(people=people, each=each)


def test_pictures_of_one_camera_are_no_genuine_pairs():
    clean, who = pictures(FEWEST)
    with pytest.raises(UserError, match="0 pairs of two cameras of one identity"):
        calibrate(clean, clean, who._replace(cameras=np.ones(len(who.places))), RATES)
    assert calibrate(clean, clean, who._replace(cameras=None), RATES)


def test_what_is_told_is_json_and_the_same_each_time():
    once, again = (json.loads(json.dumps(calibrated())) for _ in range(2))
    assert once == again


def test_the_table_has_a_row_for_each_threshold_and_fits_the_terminal():
    told = {"told": "pictures", "features": calibrated(rates=(0.01, 1e-5))}
    lines = as_text(told).splitlines()
    assert max(map(len, lines)) <= 100
    (row,) = [line for line in lines if line.startswith("concat") and "[" in line]
    distance = told["features"]["concat"]["thresholds"][0]["distance"]
    assert f"{distance:.3f} [" in row and row.split()[1:3] == ["1", "%"]


@pytest.mark.parametrize("far", [(), (0.0,), (0.01, 0.2), (float("nan"),), ("a",)])
def test_rates_that_are_none_are_refused(far):
    with pytest.raises(UserError, match="config.calibrate.far = "):
        CalibrateSettings(far=far)
