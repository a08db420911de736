"""A folder of people, as it comes, trains and scores by one command: real processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
CAMERAS = 3


def picture_of(person, camera, frame):
    """Noise over stripes that are the person's, in a light that is the camera's."""
    own, light = np.random.default_rng(person), np.random.default_rng([camera, 7])
    stripes = own.integers(0, 200, (8, 1, 3)).repeat(8, axis=0).repeat(32, axis=1)
    noise = np.random.default_rng([person, camera, frame]).normal(0, 20, stripes.shape)
    return Image.fromarray(
        np.clip(stripes * light.uniform(0.7, 1.2, 3) + noise, 0, 255).astype("u1")
    )


@pytest.fixture
def folder(tmp_path):
    """1,000 pictures of 50 people before three cameras, one folder a person."""
    for person in range(50):
        own = tmp_path / "F" / f"person_{person:04d}"
        own.mkdir(parents=True)
        for frame in range(20):
            camera = 1 + frame % CAMERAS
            picture_of(person, camera, frame).save(own / f"cam{camera}_{frame:03d}.png")
    return tmp_path / "F"


@pytest.fixture
def run(tmp_path):
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "TFDS_DATA_DIR": str(tmp_path / "tfds")}

    def run(*arguments):
        line = [sys.executable, *map(str, arguments)]
        result = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result

    return run


def scores_of(workdir):
    (scores,) = json.loads((workdir / "eval.json").read_text())["datasets"].values()
    return scores


@pytest.mark.slow
def test_a_thousand_pictures_train_and_score_by_one_command_and_by_their_table(
    folder, run, tmp_path
):
    command = ("main.py", "--config=configs/folder.py")
    trained = ("--config.train.epochs=2", f"--workdir={tmp_path / 'W'}")
    result = run(*command, *trained, f"--config.data.root={folder}")
    scores = scores_of(tmp_path / "W")
    assert scores["split"] in result.stderr and scores["split"].startswith("split by identity")
    assert "train 500 files of 25 identities, query 75 files of 25" in scores["split"]
    assert scores["queries_used"] == 75 and 0 < scores["concat"]["mAP"] <= 1

    table = folder / "F.csv"
    told = run("-m", "data.table", folder).stdout
    assert f"--config.data.builder=reid_csv --config.data.root={table} " in told
    for number, place in enumerate(("door", "hall", "yard"), start=1):
        table.write_text(table.read_text().replace(f",{number},", f",{place},"))
    listed = ("--config.data.builder=reid_csv", f"--config.data.root={table}")
    scored = ("--mode=eval", f"--checkpoint={tmp_path / 'W'}", f"--workdir={tmp_path / 'T'}")
    run(*command, *scored, *listed)
    same = scores_of(tmp_path / "T")
    assert same["cameras"] == ["door", "hall", "yard"]
    assert same["fingerprint"] == scores["fingerprint"] and same["concat"] == scores["concat"]
