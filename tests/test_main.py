"""The command line, as users run it: real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
    return [sys.executable, "main.py", f"--config=configs/{config}.py", *arguments]


def environment():
    return os.environ | {"JAX_PLATFORMS": "cpu"}


def run(config, *arguments):
    return subprocess.run(
        command(config, *arguments), cwd=ROOT, env=environment(), capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config.data.rot=x"], ["config.data.rot", "did you mean config.data.root?"]),
        (["--config.train.epochs=many"], ["config.train.epochs=many", "'many'"]),
        (["--confg=x"], ["confg", "Did you mean: config"]),
        (["--config.train.batch_size=30"], ["batch_size = 30", "P x K"]),
        (["--config.data.builder=reid_folder", "--config.data.root=/no"], ["/no", "query"]),
        (["--config.data.variant=huge"], ["'huge'", "full, small"]),
    ],
    ids=lambda value: value[0].lstrip("-") if isinstance(value, list) else None,
)
def test_a_mistake_ends_with_one_paragraph_and_code_2(tmp_path, arguments, words):
    result = run("quickstart", f"--workdir={tmp_path}", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    (told,) = [line for line in result.stderr.splitlines() if line.startswith("main.py: ")]
    assert all(word in told for word in words), told
    assert not list(tmp_path.iterdir())


def test_a_config_that_is_not_there_ends_with_code_2(tmp_path):
    result = run("none", f"--workdir={tmp_path}")
    assert result.returncode == 2 and "configs/none.py" in result.stderr
    assert "Traceback" not in result.stderr


def test_scoring_an_empty_workdir_ends_with_code_2(market, tmp_path):
    data = (f"--config.data.root={market}", f"--config.data.data_dir={tmp_path / 'prepared'}")
    result = run("folder", f"--workdir={tmp_path / 'run'}", "--mode=eval", *data, *MU)
    assert result.returncode == 2 and "holds no checkpoint" in result.stderr


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
    training = subprocess.Popen(command("folder", *arguments), cwd=ROOT, env=environment())
    wait_for(lambda: len(checkpoints(workdir)) > 1, training)
    os.kill(training.pid, signal.SIGKILL)
    training.wait()
    newest = max(checkpoints(workdir))
    assert not (workdir / "eval.json").exists()

    resumed = run("folder", *arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert f"continuing from step {newest}" in resumed.stdout
    report = json.loads((workdir / "eval.json").read_text())
    assert report["step"] == max(checkpoints(workdir)) > newest
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, report["step"] + 1))

    scored = run("folder", "--mode=eval", *arguments)
    assert scored.returncode == 0 and json.loads((workdir / "eval.json").read_text()) == report


def checkpoints(workdir):
    return [int(p.name) for p in (workdir / "checkpoints").glob("*") if p.name.isdigit()]


def wait_for(condition, process, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < end, "the training wrote no checkpoint in time"
        time.sleep(0.05)
