"""Trainings that are killed, sent away, out of room or locked out: real processes, bitwise results.

tests/toy_training.py is the training. Its last checkpoint lists SHA-256 of parameters, statistics,
memory and optimiser, so equal lists are bitwise equal states.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SIGNALLED = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


def start(*command, log, **options):
    env = {"JAX_PLATFORMS": "cpu"} | os.environ | {"PYTHONPATH": str(ROOT)}
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=env, stdout=file, stderr=file, **options
        )


TRAINING = ("tests/toy_training.py",)
LONG = (
    *("train.epochs=100", "train.checkpoint_every=1000", "train.log_every=7", "optim.name='adamw'"),
    *("pace=0.05", "train.checkpoint_every_minutes=0.01"),
)


def drill(workdir, *fields, log=None, **options):
    """A training that takes long enough to be interrupted; what it says is in WORKDIR.log."""
    log = log or log_of(workdir)
    return start(*TRAINING, str(workdir), *LONG, *fields, log=log, **options)


def finish(workdir):
    """Trains to the end without saving on the way; gives what is said."""
    process = drill(workdir, "pace=0", "train.checkpoint_every_minutes=0")
    assert process.wait() == 0, log_of(workdir).read_text()
    return log_of(workdir).read_text()


def log_of(workdir):
    return workdir.with_suffix(".log")


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < end, "it did not come so far in time"
        time.sleep(0.001)


def said(workdir, words):
    return lambda: words in log_of(workdir).read_text()


def writes(workdir):
    """Whether a checkpoint is being written."""
    return lambda: any("tmp" in path.name for path in (workdir / "checkpoints").glob("*"))


def steps(workdir):
    return sorted(int(p.name) for p in (workdir / "checkpoints").glob("*") if p.name.isdigit())


def outcome(workdir):
    """All that must come out the same."""
    contents = workdir / f"checkpoints/{steps(workdir)[-1]}/contents/metadata"
    files = ("metrics.jsonl", "eval_initial.json", "eval.json")
    return json.loads(contents.read_text()), *((workdir / name).read_text() for name in files)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The workdir of a training that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("drill") / "whole"
    finish(workdir)
    return workdir


@pytest.fixture
def begun(whole, tmp_path):
    """A workdir as a training leaves it on the way, with one checkpoint."""
    workdir = tmp_path / "begun"
    process = drill(workdir)
    wait_for(lambda: len(steps(workdir)) > 1, process)
    process.kill()
    process.wait()
    return workdir


@pytest.mark.slow
def test_twenty_kills_change_nothing(whole, tmp_path):
    """At random moments; while a checkpoint is being written; some time after one."""
    rng, workdir = random.Random(0), tmp_path / "run"
    found = set()
    for life in range(20):
        process, before = drill(workdir), steps(workdir)
        wait_for(said(workdir, "ready"), process)
        if life % 3 == 0:
            time.sleep(rng.uniform(0, 3))
        elif life % 3 == 1:
            wait_for(writes(workdir), process)
            time.sleep(rng.uniform(0, 0.05))
        else:
            wait_for(lambda before=before: steps(workdir)[-1:] > before[-1:], process)
            time.sleep(rng.uniform(0, 0.6))
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        process.wait()
        found.update(steps(workdir)[-1:])
    assert len(found) > 4, f"the kills met too few checkpoints: {found}"
    assert "damaged" not in finish(workdir)
    assert outcome(workdir) == outcome(whole)


@pytest.mark.slow
def test_signals_save_and_leave(whole, tmp_path):
    workdir = tmp_path / "run"
    for number, code in SIGNALLED:
        process = drill(workdir, "train.checkpoint_every_minutes=0")
        wait_for(said(workdir, "/300 epoch"), process)
        process.send_signal(number)
        assert process.wait(timeout=30) == code
        told = log_of(workdir).read_text()
        assert f"{signal.Signals(number).name}: step {steps(workdir)[-1]} is done and saved" in told
        assert "Traceback" not in told
    assert len(steps(workdir)) == 3  # 0 and one for each signal
    finish(workdir)
    assert outcome(workdir) == outcome(whole)


WAITING = (
    "import sys, time; from dpeformer_jax.training.interruption import Interruption\n"
    "with Interruption(float(sys.argv[1])) as interruption, interruption.steps_first():\n"
    "    print('ready', flush=True); time.sleep(60)"
)


@pytest.mark.parametrize(("number", "code"), SIGNALLED)
def test_a_second_signal_leaves_at_once(tmp_path, number, code):
    process = start("-c", WAITING, "30", log=tmp_path / "run.log")
    wait_for(said(tmp_path / "run", "ready"), process)
    process.send_signal(number)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == code
    assert "second signal: left at once" in (tmp_path / "run.log").read_text()


def test_a_step_that_does_not_end_is_left_in_time(tmp_path):
    process = start("-c", WAITING, "0.5", log=tmp_path / "run.log")
    wait_for(said(tmp_path / "run", "ready"), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert "not done within 0.5 s" in (tmp_path / "run.log").read_text()


@pytest.mark.slow
def test_a_full_disk_leaves_the_checkpoint_before(whole, begun):
    """A limit on the size of files: the kernel refuses a write in the middle, as a full disk."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    before = steps(begun)
    process = drill(begun, preexec_fn=limit)
    assert process.wait(timeout=120) == 2
    told = log_of(begun).read_text().splitlines()[-1]  # above it tensorstore tells of each array
    assert "a checkpoint could not be written" in told
    assert f"step {before[-1]} is whole. Make room" in told
    assert steps(begun) == before
    finish(begun)
    assert outcome(begun) == outcome(whole)


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(whole, begun):
    newest = steps(begun)[-1]
    data = max((begun / f"checkpoints/{newest}/training").rglob("d/*"), key=os.path.getsize)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    told = finish(begun)
    assert (
        f"checkpoints/{newest} is damaged" in told and f"damaged-{newest}; the one before" in told
    )
    assert (begun / f"checkpoints/damaged-{newest}").is_dir()
    assert outcome(begun) == outcome(whole)


@pytest.mark.slow
def test_a_second_training_in_a_workdir_is_refused(whole, tmp_path):
    workdir = tmp_path / "run"
    process = drill(workdir)
    wait_for(said(workdir, "ready"), process)
    second = drill(workdir, log=tmp_path / "second.log")
    assert second.wait(timeout=60) == 2
    assert f"is in use by process {process.pid} on host" in (tmp_path / "second.log").read_text()
    process.kill()
    process.wait()
    third = drill(workdir)
    wait_for(said(workdir, f"from process {process.pid} on host"), third)
    third.kill()
    third.wait()


@pytest.mark.slow
def test_a_step_that_is_not_finite_stops_the_training_and_is_not_saved(tmp_path):
    workdir = tmp_path / "run"
    process = drill(workdir, "optim.lr=1e30", "train.checkpoint_every_minutes=0.0001")
    assert process.wait(timeout=120) == 2
    told = log_of(workdir).read_text()
    assert "is not finite" in told or "the training diverged" in told
    assert "optim.lr" in told and "Traceback" not in told
    assert steps(workdir)[-1] < 4
