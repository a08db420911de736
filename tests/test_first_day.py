"""The one command for a borrowed GPU: killed and started again with a tiny network; its time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]
COMMAND = ("bash", "benchmarks/first_day.sh")
PARTS = {"train_step", "extract", "recipe", "trace", "parity", "interruption"}
PAGE = ROOT / "docs/performance.md"
# In the order of their importance, with the seconds after which each is ended.
LIMITS = {
    "train_step_cudnn": 180,
    "train_step_xla": 180,
    "train_step_float32": 180,
    "extract": 120,
    "recipe": 180,
    "trace": 180,
    "parity": 180,
    "twenty_kills": 470,  # all that is left
}


def started(*words, programs=Path(sys.executable).parent, **variables):
    """Starts the command, with a folder of programs before all others."""
    path = f"{programs}:{os.environ['PATH']}"
    env = {"JAX_PLATFORMS": "cpu"} | os.environ | {"PATH": path} | variables
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(
        [*COMMAND, *map(str, words)], cwd=ROOT, env=env, start_new_session=True, **streams
    )


@pytest.fixture
def pretended(tmp_path):
    """Programs in the place of the true ones: Python finds a GPU, and each part ends at once.

    What would run a part writes its words into the file `calls`.
    """
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, line in {"python3": "true", "setpriv": f'echo "$@" >>{tmp_path}/calls'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return programs


def ended(process):
    """Waits for the command; returns the exit status, the outcome of each part, what is told."""
    with process:
        told = process.communicate()[0]
    rows = [line.split(maxsplit=3) for line in told.splitlines() if " s  " in line]
    return process.returncode, {name: outcome for name, _, _, outcome in rows}, told


def wait_for_a_mark(output, process):
    """Returns the first mark, once its line is told and the next part has begun."""
    assert process.stdout.readline().endswith(" ok\n")
    end = time.monotonic() + 10
    while not psutil.Process(process.pid).children():
        assert time.monotonic() < end, "no second part begins"
        time.sleep(0.01)
    (mark,) = output.glob("*.done")
    return mark


@pytest.mark.slow
def test_a_killed_start_is_finished_by_the_next_one(tmp_path):
    page = PAGE.read_bytes()
    with started("--quick", tmp_path) as first:
        mark = wait_for_a_mark(tmp_path, first)
        running = psutil.Process(first.pid).children(recursive=True)
        os.killpg(first.pid, signal.SIGKILL)
    left_over = psutil.wait_procs(running, timeout=3)[1]
    assert running and not left_over
    marked = mark.stat().st_mtime_ns

    status, outcomes, told = ended(started("--quick", tmp_path))
    assert status == 0, told
    assert outcomes == dict.fromkeys(PARTS, "ok") | {mark.stem: "ok before"}
    assert mark.stat().st_mtime_ns == marked
    assert {path.stem for path in tmp_path.glob("*.done")} == PARTS
    (results,) = tmp_path.glob("*.json")
    lines = json.loads(results.read_text())
    assert [line["benchmark"] for line in lines] == ["train_step", "extract", "recipe"]
    assert lines[0]["more"]["planned_memory_bytes"] > 0
    assert list((tmp_path / "trace").glob("**/*.xplane.pb"))
    assert PAGE.read_bytes() == page


@pytest.mark.slow
def test_a_failed_part_is_named_and_the_others_run(tmp_path):
    for part in PARTS - {"recipe", "interruption"}:
        (tmp_path / f"{part}.done").touch()
    (tmp_path / "recipe.log").mkdir()  # where the part cannot write
    status, outcomes, told = ended(started("--quick", tmp_path))
    assert status == 1 and told.splitlines()[-1] == "failed: recipe", told
    assert outcomes["interruption"] == "ok"
    assert (tmp_path / "interruption.done").exists()


def test_a_part_that_hangs_is_ended_before_the_time_of_all(tmp_path, pretended):
    status, outcomes, told = ended(started(tmp_path / "out", programs=pretended))
    assert status == 0, told
    assert list(outcomes.items()) == [(name, "ok") for name in LIMITS]
    calls = (tmp_path / "calls").read_text().splitlines()
    limits = [int(call.partition("--kill-after=5 ")[2].split()[0]) for call in calls]
    # The last one's is the rest of the time, and some seconds have passed.
    assert limits[:-1] == list(LIMITS.values())[:-1]
    assert 400 < limits[-1] <= LIMITS["twenty_kills"]


def test_a_part_that_no_longer_fits_is_left(tmp_path, pretended):
    status, outcomes, told = ended(started(tmp_path / "out", programs=pretended, BUDGET="200"))
    assert status == 1
    assert outcomes == dict.fromkeys(LIMITS, "ok") | {"twenty_kills": "left"}
    assert told.splitlines()[-1] == "left for the next call: twenty_kills"
    status, outcomes, told = ended(started(tmp_path / "out", programs=pretended))
    assert status == 0, told
    assert outcomes == dict.fromkeys(LIMITS, "ok before") | {"twenty_kills": "ok"}


def test_a_machine_without_a_gpu_is_told(tmp_path, pretended):
    (pretended / "python3").write_text("#!/bin/sh\nfalse\n")
    status, outcomes, told = ended(started(tmp_path / "out", programs=pretended))
    assert status == 2 and not outcomes
    assert "JAX finds no NVIDIA GPU" in told
