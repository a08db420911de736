"""Same, different or unsure: by thresholds beside the weights."""

import numpy as np
import pytest
from thresholds import calibration
from toy import toy_weights

from dpeformer_jax import Extractor
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import save_weights
from dpeformer_jax.retrieval.calibration import write_calibration
from dpeformer_jax.retrieval.verdict import read_judge
from dpeformer_jax.serving.matching import judge_of, match


@pytest.fixture
def calibrated(tmp_path):
    write_calibration(tmp_path, calibration("a" * 64))
    return tmp_path


def test_a_distance_is_judged_by_the_chosen_rate(calibrated):
    judge = read_judge(calibrated, "a" * 64, "concat")
    assert judge.accepts.far == 1e-3
    found = [judge.verdict(distance) for distance in (0.1, 0.2, 0.3, 0.9, 0.91)]
    assert found == ["same", "same", "unsure", "unsure", "different"]
    assert read_judge(calibrated, "a" * 64, "concat", 1e-2).verdict(0.3) == "same"


def test_the_strictest_level_that_accepts_is_told(calibrated):
    judge = read_judge(calibrated, "a" * 64, "concat")
    assert [judge.strictest(x) and judge.strictest(x).far for x in (0.1, 0.3, 0.5)] == [
        1e-3,
        1e-2,
        None,
    ]
    assert judge.strictest(0.1).interval == (1e-4, 6e-3)


def test_genuine_pairs_nearer_than_the_threshold_leave_nothing_unsure(tmp_path):
    write_calibration(tmp_path, calibration("a" * 64, (1.2, 1.0, 0.1)))
    judge = read_judge(tmp_path, "a" * 64, "concat")
    assert [judge.verdict(distance) for distance in (1.0, 1.01)] == ["same", "different"]


@pytest.mark.parametrize(
    ("weights", "feature", "far", "words"),
    [
        ("b" * 64, "concat", None, "of the weights aaaaaaaa, and these are bbbbbbbb"),
        ("a" * 64, "concat", 0.005, "--far=0.005 is not one of the calibrated rates 0.01, 0.001"),
        ("a" * 64, "parts", 0.01, "--far=0.01 needs thresholds, and .* no threshold of 'parts'"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(calibrated, weights, feature, far, words):
    with pytest.raises(UserError, match=words):
        read_judge(calibrated, weights, feature, far)


def test_without_thresholds_that_hold_there_is_a_reason(tmp_path):
    judge = read_judge(tmp_path, "a" * 64, "concat")
    assert judge.verdict(0.1) is None and "holds no calibration.json" in judge.reason
    write_calibration(tmp_path, calibration("a" * 64, flip=True))
    judge = read_judge(tmp_path, "a" * 64, "concat")
    assert judge.verdict(0.1) is None and "mirror image" in judge.reason


def test_two_pictures_are_compared_as_their_features_are(tmp_path, write_image):
    save_weights(tmp_path / "network", toy_weights())
    extractor = Extractor.load(tmp_path / "network", batch_size=2)
    pictures = [write_image(tmp_path / f"{name}.png") for name in "ab"]
    one, other = extractor(pictures)["concat"]
    found = match(extractor, *pictures)
    assert found.verdict is None and found.feature == "concat"
    np.testing.assert_allclose(found.distance, np.sum((one - other) ** 2), rtol=1e-5)
    np.testing.assert_allclose(found.cosine, one @ other, rtol=1e-5)
    write_calibration(tmp_path / "network", calibration(extractor.fingerprint, (9, 8, 7)))
    assert match(extractor, *pictures).verdict == "same"
    assert match(extractor, pictures[0], pictures[0]).distance == 0


def test_thresholds_do_not_hold_for_another_preset(tmp_path):
    save_weights(tmp_path / "network", toy_weights())
    own, paper, released = (
        Extractor.load(tmp_path / "network", preset=preset)
        for preset in (None, "paper", "released")
    )
    assert own.fingerprint == paper.fingerprint != released.fingerprint
    write_calibration(tmp_path / "network", calibration(own.fingerprint))
    assert judge_of(paper).accepts is not None
    assert "do not hold for the preset 'released'" in judge_of(released).reason
