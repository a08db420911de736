"""Checkpoints of earlier versions load, score and go on. Real files, written by those versions.

tests/earlier_versions/N holds what the last commit with a spec of version N wrote: the workdir of a
training after two of its three epochs (with side information, whose rows version 1 does not name),
what the training told at its end, and a converted checkpoint with the features that it gave (its
network embeds cameras too in version 2).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dpeformer_jax import Extractor
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import load_weights

ROOT = Path(__file__).parents[1]
CAMERAS = (("market", 1), ("market", 3))
PICTURES = {
    "bounding_box_train": (
        *("2_c1_0", "2_c3_1", "2_c1_2", "2_c3_3", "5_c1_0", "5_c3_1"),
        *("11_c1_0", "11_c3_1", "11_c1_2"),
    ),
    "query": ("20_c1_0", "21_c3_0"),
    "bounding_box_test": ("20_c3_1", "20_c1_2", "21_c1_1", "0_c1_0", "99_c3_0"),
}


@pytest.fixture(params=["1", "2"])
def kept(request):
    return ROOT / "tests/earlier_versions" / request.param


@pytest.fixture
def workdir(kept, tmp_path, write_image):
    """The workdir, and beside it the folder that it was trained on; the files' bytes count."""
    for folder, names in PICTURES.items():
        for name in names:
            write_image(tmp_path / "market" / folder / f"{name}.bmp")
    return shutil.copytree(kept / "workdir", tmp_path / "run")


def run(workdir, *arguments):
    """main.py with the options that the workdir was trained with."""
    stored = json.loads((workdir / "config.json").read_text())
    model, train = stored["model"], stored["train"]
    options = [
        *(f"--config.model.{name}={model[name]}" for name in ("variant", "stride", "parts")),
        *(f"--config.model.{name}={model[name]}" for name in ("min_patches", "sie")),
        *(f"--config.train.{n}={train[n]}" for n in ("batch_size", "images_per_identity")),
        *(f"--config.train.{n}={train[n]}" for n in ("epochs", "checkpoint_every", "log_every")),
        *("--config.optim.name=sgd", "--config.optim.lr=0.001", "--config.optim.warmup_epochs=1"),
        *("--config.data.image_size=(32,16)", "--config.eval.batch_size=4"),
        f"--config.data.root={workdir.parent / 'market'}",
        f"--config.data.data_dir={workdir.parent / 'prepared'}",
    ]
    command = [sys.executable, "main.py", "--config=configs/folder.py", f"--workdir={workdir}"]
    return subprocess.run(
        [*command, *options, *arguments],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )


def assert_same(found, expected):
    """Compares what an earlier version told; this one may tell more."""
    if isinstance(expected, dict):
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected)
    else:
        assert found == expected


def test_weights_of_a_training_are_those_that_were_saved(kept):
    weights = load_weights(kept / "workdir")  # compared with its checksums
    assert weights.step == 4 and weights.complete and not weights.missing
    assert weights.spec.sie_rows == 2
    assert weights.spec.cameras == (() if kept.name == "1" else CAMERAS)
    assert weights.memory.shape == (3, 2 * 32)


def test_unnamed_cameras_are_never_scored_by_accident():
    with pytest.raises(UserError, match="2 cameras without their names"):
        load_weights(ROOT / "tests/earlier_versions/1/workdir").spec.rows_of(CAMERAS)


def test_a_converted_checkpoint_gives_the_features_of_then(kept):
    expected = json.loads((kept / "expected_features.json").read_text())
    images = np.random.default_rng(0).uniform(-1, 1, (2, 48, 16, 3)).astype(np.float32)
    extractor = Extractor.load(kept / "converted")
    rows = np.arange(2) if extractor.spec.sie_rows else None
    found = extractor.features(images, camera_rows=rows)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name][:, : len(values[0])], values, atol=1e-5)


@pytest.mark.slow
def test_a_workdir_is_scored_with_cameras_named_by_its_training_set(kept, workdir):
    result = run(workdir, "--mode=eval")
    assert result.returncode == 0, result.stderr
    report = json.loads((workdir / "eval.json").read_text())
    assert report["step"] == 4
    assert report["network"]["cameras"] == [list(camera) for camera in CAMERAS]
    # Two more epochs at 2e-6 changed no rank.
    expected = json.loads((kept / "expected_eval.json").read_text())
    assert_same(report["datasets"], expected["datasets"])


@pytest.mark.slow
def test_a_workdir_goes_on_and_ends_as_it_did_then(kept, workdir):
    result = run(workdir)
    assert result.returncode == 0, result.stderr
    assert "continuing from step 4" in result.stderr
    report, expected = (
        json.loads(path.read_text())
        for path in (workdir / "eval.json", kept / "expected_eval.json")
    )
    assert_same(report["datasets"], expected["datasets"])
    assert report["step"] == 6
    assert report["trained_on"] == expected["trained_on"]
    lines, others = (
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in (workdir / "metrics.jsonl", kept / "expected_metrics.jsonl")
    )
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    for line, other in zip(lines, others, strict=True):
        assert line == pytest.approx(other, rel=1e-4)
    assert load_weights(workdir).spec.cameras == CAMERAS


@pytest.mark.parametrize("kept", ["1"], indirect=True)  # later ones name their cameras
@pytest.mark.slow
def test_a_workdir_is_not_scored_by_another_training_set(workdir, write_image):
    write_image(workdir.parent / "market/bounding_box_train/5_c1_9.bmp")
    result = run(workdir, "--mode=eval")
    assert result.returncode == 2 and "data have changed" in result.stderr
