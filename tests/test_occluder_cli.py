"""python -m data.occluders: a bank of all sources, and mistakes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_occluder_sa1b import random_mask
from test_occluder_sa1b import save as save_sa1b

from data.occluders import __main__ as command
from data.occluders import load_cutouts

ROOT = Path(__file__).parents[1]


def run(*arguments):
    line = [sys.executable, "-m", "data.occluders", "build", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120)


def mistake(capsys, *arguments):
    """What the command tells of a mistake, run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["data.occluders", "build", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            command.main()
    told = capsys.readouterr()
    assert stopped.value.code == 2 and not told.out
    return told.err


@pytest.fixture
def sources(tmp_path):
    """A folder for each source with one cut-out each, two for SA-1B."""
    save_sa1b(tmp_path / "sa1b", [random_mask(0), random_mask(1)])
    picture = Image.new("RGBA", (30, 40), (200, 30, 30, 200))
    for path in ("alpha/a.png", "crops/sa_1/0.png", "boxes/a.png"):
        (tmp_path / path).parent.mkdir(parents=True)
        picture.save(tmp_path / path)
    (tmp_path / "boxes" / "boxes.csv").write_text("path,left,top,width,height\na.png,0,0,20,30\n")
    (tmp_path / "alpha" / "spoilt.png").write_text("not a picture")
    return [part for name in command.FOLDERS for part in (f"--{name}", tmp_path / name)]


def test_a_bank_of_all_sources_can_be_loaded_and_looked_at(tmp_path, sources):
    out = tmp_path / "made" / "bank.npz"
    more = ("--drawn", 6, "--size", 32, 16, "--min-side", 12, "--out", out)
    result = run(*sources, *more)
    assert result.returncode == 0, result.stderr
    cutouts, origin = load_cutouts(str(out), (32, 16))
    assert cutouts.images.shape == (11, 32, 16, 4)
    lines = result.stdout.splitlines()
    assert lines[0] == "kept 11 of 12 cut-outs; dropped: 1 damaged"
    assert lines[1] == f"damaged: {tmp_path / 'alpha' / 'spoilt.png'}"
    fingerprint = origin.split()[-1]
    sheet = out.with_suffix(".jpg")
    assert lines[2] == f"wrote {out}, fingerprint {fingerprint}; look at it in {sheet}"
    with Image.open(sheet) as picture:
        assert picture.size == (1280, 128)


def test_a_mistake_ends_with_one_paragraph_and_code_2(tmp_path):
    result = run("--alpha", tmp_path / "nowhere", "--out", tmp_path / "bank.npz")
    assert result.returncode == 2 and not result.stdout
    assert result.stderr == f"data.occluders: --alpha {tmp_path / 'nowhere'} is not a folder\n"


def test_a_bank_is_only_overwritten_when_asked(tmp_path, capsys, monkeypatch):
    out = tmp_path / "bank.npz"
    out.write_text("precious")
    arguments = ["build", "--drawn", "2", "--size", "8", "4", "--out", str(out)]
    assert "exists already" in mistake(capsys, *arguments[1:])
    assert out.read_text() == "precious"
    command.run(command.parse([*arguments, "--overwrite"]))
    assert len(load_cutouts(str(out), (8, 4))[0].images) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a source"),
        (("--drawn", 0), "0 is not above 0"),
        (("--drawn", 2, "--most", 0), "0 is not above 0"),
        (("--drawn", 2, "--seed=-1"), "-1 is below 0"),
        (("--drawn", 2, "--size", 8), "expected 2 arguments"),
        (("--drawn", 2, "--min-side", 999), "no cut-out is left: kept 0 of 2"),
        (("--crops", "configs"), "hold no cut-out at all"),
        (("--boxes", "configs"), "boxes.csv cannot be read"),
    ],
)
def test_mistakes_are_told(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(ROOT)
    assert words in mistake(capsys, *arguments, "--out", tmp_path / "bank.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", ["bank.pkl", "file/bank.npz"])
def test_a_target_that_cannot_be_is_refused(tmp_path, capsys, out):
    (tmp_path / "file").touch()
    told = mistake(capsys, "--drawn", 1, "--size", 8, 4, "--out", tmp_path / out)
    assert str(tmp_path / out) in told


def test_real_cutouts_make_a_bank(shared_data, tmp_path):
    folder = shared_data / "occluders"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not a folder")
    out = tmp_path / "bank.npz"
    crops, alpha = ("--crops", folder / "SA-1B-crop"), ("--alpha", folder / "rgba")
    arguments = ("build", *crops, *alpha, "--out", out, "--size", 64, 32, "--most", 5)
    command.run(command.parse([str(argument) for argument in arguments]))
    (images, tall), _ = load_cutouts(str(out), (64, 32))
    assert images.shape == (5, 64, 32, 4) and not tall.all()
    assert (images[..., 3] == 0).any(axis=(1, 2)).all() and np.ptp(images[..., :3]) > 200
