"""The command line, as users run it: real processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
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
        (
            ["--config.data.builder=reid_folder", "--config.data.variant=", "--config.data.root=/"],
            ["/bounding_box_train is not a folder"],
        ),
        slow(["--config.train.epochs=many"], ["config.train.epochs=many", "'many'"]),
        slow(["--confg=x"], ["confg", "Did you mean: config"]),
        slow(["--config.train.batch_size=30"], ["batch_size = 30", "P x K"]),
        slow(["--config.data.variant=huge"], ["'huge'", "'full', 'small'"]),
        slow(["--json"], ["--mode=verify_data"]),
        slow(["--config.distributed.enabled=True"], ["config.distributed.coordinator"]),
        slow(["--config.train.microbatches=3"], ["microbatches = 3", "batch_size = 32"]),
        slow(["--config.data.builder=market"], ["'market'", "market1501"]),
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


@pytest.mark.slow
def test_a_config_that_is_not_there_ends_with_code_2(tmp_path):
    result = run("configs/none.py", f"--workdir={tmp_path}")
    assert result.returncode == 2 and "configs/none.py" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_an_unknown_preset_ends_with_code_2(tmp_path):
    result = run("configs/occluded_duke.py:relased", f"--workdir={tmp_path}")
    assert result.returncode == 2 and "'relased'" in result.stderr
    assert "Traceback" not in result.stderr and "'released'" in result.stderr


def test_counts_that_are_not_published_end_with_a_table(tmp_path, write_image):
    for folder in ("partial_body_images", "whole_body_images"):
        write_image(tmp_path / "partial" / folder / "001_001.jpg")
    data = ("--config.data.builder=partial_reid", f"--config.data.root={tmp_path / 'partial'}")
    result = run("configs/folder.py", f"--workdir={tmp_path / 'run'}", *data)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    told = [line.split() for line in result.stderr.splitlines()]
    assert ["query", "60", "1", "300", "1", "-", "1"] in told
    assert not (tmp_path / "run").exists()


def test_memory_that_does_not_suffice_ends_with_the_fields_that_help(monkeypatch, capsys):
    import main

    monkeypatch.setattr(main, "run", lambda: jnp.ones((10**6, 10**6)).block_until_ready())
    with pytest.raises(SystemExit) as ended:
        main.main([])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert all(word in told for word in ("microbatches", "remat", "bfloat16", "eval.batch_size"))


@pytest.mark.slow
def test_scores_of_a_checkpoint_never_replace_those_of_a_training(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    result = run("configs/quickstart.py", f"--workdir={tmp_path}", "--mode=eval", "--checkpoint=x")
    assert result.returncode == 2 and "eval.json would be lost" in result.stderr


@pytest.mark.slow
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
        "--config.train.epochs=30",
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
def test_a_joined_training_is_scored_on_every_test_set(market, tmp_path, write_image):
    shutil.copytree(market, tmp_path / "second")
    write_image(tmp_path / "second" / "query" / "21_c2_7.jpg")
    for person in ("001", "002"):
        for folder in ("occluded_body_images", "whole_body_images"):
            write_image(tmp_path / "occluded" / folder / person / f"{person}_01.tif")
    data = (f"--config.data.root={market}", f"--config.data.data_dir={tmp_path / 'prepared'}")
    tests = (
        "--config.eval.datasets=('reid_folder','reid_folder=../second','occluded_reid=../occluded')"
    )
    training = (
        "configs/folder.py",
        *(f"--workdir={tmp_path / 'run'}", "--config.data.joined=('reid_folder=../second',)"),
        *("--config.train.epochs=1", "--config.data.allow_other_counts=True", tests, *data, *MU),
    )
    result = run(*training)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "run/eval.json").read_text())
    assert list(report["datasets"]) == ["market", "second", "occluded_reid"]
    assert "query: 2 images (1000 published)" in report["datasets"]["occluded_reid"]["other_counts"]
    fingerprints = {n: told["fingerprint"] for n, told in report["datasets"].items()}
    assert len(set(fingerprints.values())) == 3
    trained_on = report["trained_on"]
    assert {n: told["fingerprint"] for n, told in trained_on["datasets"].items()} == {
        n: fingerprints[n] for n in ("market", "second")
    }
    assert "96 cut-outs drawn, fingerprint " in trained_on["occluders"]
    for name in fingerprints:
        assert f"{name:20} concat" in result.stdout

    scored = run(  # a set without training images needs none to be scored on
        *("configs/folder.py", "--mode=eval", f"--checkpoint={tmp_path / 'run'}"),
        *(f"--workdir={tmp_path / 'scores'}", "--config.data.builder=occluded_reid"),
        *(f"--config.data.root={tmp_path / 'occluded'}", "--config.data.allow_other_counts=True"),
        *(data[1], *MU),
    )
    assert scored.returncode == 0, scored.stderr
    alone = json.loads((tmp_path / "scores/eval.json").read_text())["datasets"]
    assert alone == {"occluded_reid": report["datasets"]["occluded_reid"]}


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
    monkeypatch.setattr(main.loop, "train", lambda *args: handed.update(bank=args[-2]))
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
