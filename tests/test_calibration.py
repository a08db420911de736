"""The stored thresholds, and the occluded pictures that they are looked at with."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from toy import ToyImages, toy_bank, toy_spec

from configs.calibration import Occluded
from configs.default import OCCLUSIONS
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.checksums import seal
from dpeformer_jax.checkpoint.store import KEPT, Checkpoints
from dpeformer_jax.model.pixels import from_uint8, normalize_pixels
from dpeformer_jax.retrieval.calibration import (
    NAME,
    at_thresholds,
    read_calibration,
    thresholds_of,
    write_calibration,
)
from dpeformer_jax.training.experiment import ONE_VIEW

TOLD = {
    "weights": "a" * 64,
    "features": {
        "concat": {
            "thresholds": [
                {"far": 0.1, "distance": 0.5, "far_as_many": [0.05, 0.2], "tar_as_many": [0.4, 1]},
                {"far": 0.01, "distance": 0.25, "far_as_many": None, "tar_as_many": None},
                {"far": 1e-4, "distance": None, "far_as_many": None, "tar_as_many": None},
            ]
        }
    },
}


def test_what_is_written_is_read_again(tmp_path):
    assert read_calibration(tmp_path, "a" * 64) is None
    write_calibration(tmp_path, TOLD)
    assert read_calibration(tmp_path, "a" * 64) == {"version": 1, **TOLD}
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_other_weights_are_refused(tmp_path):
    write_calibration(tmp_path, TOLD)
    with pytest.raises(UserError, match="of the weights aaaaaaaa, and these are bbbbbbbb"):
        read_calibration(tmp_path, "b" * 64)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("0.25", "0.26"),
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "{}",
    ],
)
def test_a_damaged_file_is_refused(tmp_path, damage):
    write_calibration(tmp_path, TOLD)
    path = tmp_path / NAME
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=f"{NAME} cannot be read.*--mode=calibrate again"):
        read_calibration(tmp_path, "a" * 64)


def test_what_a_newer_version_wrote_is_refused(tmp_path):
    (tmp_path / NAME).write_text(json.dumps(seal({"version": 2, "thresholds": {}})))
    with pytest.raises(UserError, match="has version 2, and this program knows 1"):
        read_calibration(tmp_path, "a" * 64)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match="none/calibration.json cannot be written"):
        write_calibration(tmp_path / "none", TOLD)


def test_a_test_set_is_told_beside_the_promise():
    assert thresholds_of(TOLD, "concat").tolist() == [0.5, 0.25]
    genuine = np.array([0.2, 0.5, 0.6, 0.7])
    first, second = at_thresholds(TOLD, "concat", np.array([30, 1]), 200, genuine)
    json.dumps([first, second])  # as eval.json holds them
    assert (first["chosen_far"], first["far"], first["tar"]) == (0.1, 0.15, 0.5)
    assert first["as_promised"] and first["far_promised"] == [0.05, 0.2]
    assert (second["far"], second["tar"], second["as_promised"]) == (0.005, 0.25, None)
    beyond, _ = at_thresholds(TOLD, "concat", [41, 1], 200, np.array([0.2]))
    assert beyond["as_promised"] is False
    assert not len(thresholds_of(TOLD, "parts"))


def test_a_training_goes_on_beside_it_and_removes_it_with_its_step(tmp_path):
    def state(value):
        return {"variables": {"weights": jnp.full(3, value, jnp.float32)}}

    with Checkpoints(tmp_path, toy_spec()) as checkpoints:
        checkpoints.save(1, state(1))
    write_calibration(tmp_path / "1", TOLD)
    with Checkpoints(tmp_path, toy_spec()) as checkpoints:
        assert checkpoints.newest == 1
        assert float(checkpoints.restore(state(0))["variables"]["weights"][0]) == 1
        for step in range(2, KEPT + 2):
            checkpoints.save(step, state(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == [str(s) for s in range(2, KEPT + 2)]


def test_it_moves_with_the_checkpoint(tmp_path):
    (tmp_path / "5").mkdir()
    write_calibration(tmp_path / "5", TOLD)
    shutil.copytree(tmp_path / "5", tmp_path / "elsewhere")
    assert read_calibration(tmp_path / "elsewhere", "a" * 64)["features"] == TOLD["features"]


@pytest.mark.parametrize("kind", [kind for kind in OCCLUSIONS if kind != ONE_VIEW])
def test_a_picture_is_occluded_alike_in_any_batch(kind):
    images = ToyImages(identities=3)
    bank = toy_bank() if kind == "roa" else None
    occluded, plan = Occluded(images, kind, bank, seed=1), np.arange(18).reshape(3, 6)
    once = np.concatenate(list(occluded.batches(plan)))
    again = np.stack(list(occluded.batches(plan.T.reshape(3, 6)))).reshape(18, *once.shape[1:])
    np.testing.assert_allclose(again, once[plan.T.ravel()], atol=1e-6)
    clean = normalize_pixels(from_uint8(images.pixels))
    changed = (np.abs(once - clean) > 1e-3).any(axis=-1).mean(axis=(1, 2))
    assert len(occluded) == 18 and 0.05 < changed.mean() < 0.8
    (other, *_) = Occluded(images, kind, bank, seed=2).batches(plan)
    assert not np.allclose(other, once[:6])
