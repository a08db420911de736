"""The command line, as users run it: real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from absl.testing import flagsaver

ROOT = Path(__file__).parents[1]
MU = (
    "--config.model.variant=mu",
    "--config.model.stride=16",
    "--config.model.min_patches=4",
    "--config.train.batch_size=8",
    "--config.train.checkpoint_every=1",
    "--config.train.log_every=1",
)


def command(config, *arguments):
    return [sys.executable, "main.py", f"--config={config}", *arguments]


def environment():
    return os.environ | {"JAX_PLATFORMS": "cpu"}


def run(config, *arguments):
    return subprocess.run(
        command(config, *arguments), cwd=ROOT, env=environment(), capture_output=True, text=True
    )


def slow(*values):
    """A case that waits for one more process."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.data.rot=x"], ["config.data.rot", "did you mean config.data.root?"]),
        (["--config.data.builder=reid_folder", "--config.data.root=/no"], ["/no", "query"]),
        slow(["--config.train.epochs=many"], ["config.train.epochs=many", "'many'"]),
        slow(["--confg=x"], ["confg", "Did you mean: config"]),
        slow(["--config.train.batch_size=30"], ["batch_size = 30", "P x K"]),
        slow(["--config.data.variant=huge"], ["'huge'", "full, small"]),
        slow(["--checkpoint=x"], ["--mode=eval", "config.init.checkpoint"]),
        slow(["--config.init.checkpoint=/no"], ["/no is not a folder"]),
    ],
    ids=lambda value: value[0].lstrip("-") if isinstance(value, list) else None,
)
def test_a_mistake_ends_with_one_paragraph_and_code_2(tmp_path, arguments, words):
    result = run("configs/quickstart.py", f"--workdir={tmp_path}", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    (told,) = [line for line in result.stderr.splitlines() if line.startswith("main.py: ")]
    assert all(word in told for word in words), told
    assert not list(tmp_path.iterdir())


def test_a_config_that_is_not_there_ends_with_code_2(tmp_path):
    result = run("configs/none.py", f"--workdir={tmp_path}")
    assert result.returncode == 2 and "configs/none.py" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_preset_ends_with_code_2(tmp_path):
    result = run("configs/occluded_duke.py:relased", f"--workdir={tmp_path}")
    assert result.returncode == 2 and "'relased'" in result.stderr
    assert "Traceback" not in result.stderr and "'released'" in result.stderr


@pytest.mark.slow
def test_scores_of_a_checkpoint_never_replace_those_of_a_training(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    result = run("configs/quickstart.py", f"--workdir={tmp_path}", "--mode=eval", "--checkpoint=x")
    assert result.returncode == 2 and "eval.json would be lost" in result.stderr


def test_a_typo_in_a_config_file_ends_with_code_2(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from configs import default\n"
        "def get_config():\n"
        "    config = default.get_config()\n"
        "    config.train.epoch = 3\n"
        "    return config\n"
    )
    result = run(file, f"--workdir={tmp_path / 'run'}")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "epoch" in result.stderr and "epochs" in result.stderr


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_checkpoint_and_ends(market, tmp_path):
    workdir = tmp_path / "run"
    arguments = (
        f"--workdir={workdir}",
        f"--config.data.root={market}",
        f"--config.data.data_dir={tmp_path / 'prepared'}",
        "--config.train.epochs=60",
        *MU,
    )
    training = subprocess.Popen(
        command("configs/folder.py", *arguments), cwd=ROOT, env=environment()
    )
    wait_for(lambda: len(checkpoints(workdir)) > 1, training)
    os.kill(training.pid, signal.SIGKILL)
    training.wait()
    newest = max(checkpoints(workdir))
    assert not (workdir / "eval.json").exists()

    resumed = run("configs/folder.py", *arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert f"continuing from step {newest}" in resumed.stdout
    report = json.loads((workdir / "eval.json").read_text())
    assert report["step"] == max(checkpoints(workdir)) > newest
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, report["step"] + 1))

    scored = run("configs/folder.py", "--mode=eval", *arguments)
    assert scored.returncode == 0 and json.loads((workdir / "eval.json").read_text()) == report


@pytest.mark.slow
def test_the_quickstart_learns(tmp_path):
    """At least 2.5 x the untrained network's mAP and 3 x its rank-1, of one query at the least."""
    result = run("configs/quickstart.py", f"--workdir={tmp_path}")
    assert result.returncode == 0, result.stderr
    before, after = (
        json.loads((tmp_path / name).read_text())["datasets"]["rendered_reid/small"]["concat"]
        for name in ("eval_initial.json", "eval.json")
    )
    assert after["mAP"] > 2.5 * before["mAP"]
    assert after["rank1"] > 3 * max(before["rank1"], 1 / 144)


def parsed(tmp_path, monkeypatch, *arguments):
    """What main.run() hands to training for these flags."""
    import main

    handed = {}
    monkeypatch.setattr(main.loop, "train", lambda *args: handed.update(bank=args[-1]))
    line = ["main.py", f"--workdir={tmp_path / 'run'}", *arguments]
    monkeypatch.setattr(sys, "argv", line)  # where ml_collections looks for config.* flags
    with flagsaver.flagsaver():
        main.parse_flags(line)
        main.run()
    return handed["bank"]


@pytest.mark.parametrize(("second", "expected"), [("roa", (96, 64, 32, 4)), ("erasing", None)])
def test_only_roa_takes_a_bank(market, tmp_path, monkeypatch, capsys, second, expected):
    bank = parsed(
        tmp_path,
        monkeypatch,
        "--config=configs/folder.py",
        f"--config.data.root={market}",
        f"--config.data.data_dir={tmp_path / 'prepared'}",
        f"--config.views.second={second}",
        *MU,
    )
    assert (None if bank is None else bank.images.shape) == expected
    told = "occluders: 96 cut-outs drawn, fingerprint " in capsys.readouterr().out
    assert told == (second == "roa")


def test_a_mistyped_workdir_is_not_made_by_scoring_it(market, tmp_path):
    data = (f"--config.data.root={market}", f"--config.data.data_dir={tmp_path / 'prepared'}")
    workdir = tmp_path / "nowhere"
    result = run("configs/folder.py", f"--workdir={workdir}", "--mode=eval", *data, *MU)
    assert result.returncode == 2 and "holds no checkpoint" in result.stderr
    assert not workdir.exists()


def checkpoints(workdir):
    return [int(p.name) for p in (workdir / "checkpoints").glob("*") if p.name.isdigit()]


def wait_for(condition, process, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < end, "the training wrote no checkpoint in time"
        time.sleep(0.05)
