"""The one command for a borrowed GPU, with a tiny network: killed, and started again."""

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
COMMAND = ("bash", "benchmarks/first_day.sh", "--quick")
PARTS = {"train_step", "extract", "recipe", "trace", "parity", "interruption"}
PAGE = ROOT / "docs/performance.md"


def started(output):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"JAX_PLATFORMS": "cpu"} | os.environ | {"PATH": path}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(
        [*COMMAND, str(output)], cwd=ROOT, env=env, start_new_session=True, **streams
    )


def wait_for_a_mark(output, process):
    """Returns the first mark, once its line is told and the next part has begun."""
    assert process.stdout.readline().endswith("done\n")
    end = time.monotonic() + 10
    while not psutil.Process(process.pid).children():
        assert time.monotonic() < end, "no second part begins"
        time.sleep(0.01)
    (mark,) = output.glob("*.done")
    return mark


@pytest.mark.slow
def test_a_killed_start_is_finished_by_the_next_one(tmp_path):
    page = PAGE.read_bytes()
    with started(tmp_path) as first:
        mark = wait_for_a_mark(tmp_path, first)
        running = psutil.Process(first.pid).children(recursive=True)
        os.killpg(first.pid, signal.SIGKILL)
    left_over = psutil.wait_procs(running, timeout=3)[1]
    assert running and not left_over
    marked = mark.stat().st_mtime_ns

    with started(tmp_path) as second:
        told = second.communicate()[0]
    assert second.returncode == 0, told
    assert [line.split()[0] for line in told.splitlines() if "done before" in line] == [mark.stem]
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
    with started(tmp_path) as process:
        told = process.communicate()[0]
    assert process.returncode == 1
    assert told.splitlines()[-1] == "failed: recipe", told
    assert (tmp_path / "interruption.done").exists()
