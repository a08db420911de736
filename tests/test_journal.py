"""metrics.jsonl: averages, and no repeated step after a resume."""

import io
import json
import subprocess
import sys
from math import nan

import pytest
from PIL import Image
from test_events import events_of

from dpeformer_jax.training.journal import Journal, forget_after
from dpeformer_jax.training.watching import Watched


def read(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def write_steps(workdir, start, end, total=6, log_every=2, sums=None):
    with Journal(workdir, start, total, log_every, batch=8, sums=sums) as journal:
        for step in range(start + 1, end + 1):
            journal.add(step, epoch=1, lr=0.1, metrics={"loss": 1 / step})
        return journal.sums


def test_a_line_averages_the_steps_since_the_last_one(tmp_path):
    write_steps(tmp_path, 0, 6)
    lines = read(tmp_path)
    assert [(line["step"], line["loss"]) for line in lines] == [
        (2, (1 + 1 / 2) / 2),
        (4, (1 / 3 + 1 / 4) / 2),
        (6, (1 / 5 + 1 / 6) / 2),
    ]
    assert all(line.keys() == {"step", "epoch", "loss", "lr"} for line in lines)
    assert list(tmp_path.glob("events.*"))


def test_the_last_step_is_always_written(tmp_path):
    write_steps(tmp_path, 0, 3, total=3)
    assert [line["step"] for line in read(tmp_path)] == [2, 3]


def test_a_resumed_run_repeats_no_step(tmp_path):
    write_steps(tmp_path, 0, 5)
    write_steps(tmp_path, 2, 6)
    assert [line["step"] for line in read(tmp_path)] == [2, 4, 6]


@pytest.mark.parametrize("rest", ['{"step": 6, "lo', '{"step": 6, "loss": 1.0}\n'])
def test_what_comes_after_the_checkpoint_or_is_cut_is_forgotten(tmp_path, rest):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 2}\n{"step": 4}\n' + rest)
    forget_after(path, 4)
    assert path.read_text() == '{"step": 2}\n{"step": 4}\n'


def test_the_rate_leaves_out_the_first_step_which_compiles(tmp_path, caplog, monkeypatch):
    seconds = iter([0, 100, 101, 102, 103])  # after the start: of the first step, of the second
    monkeypatch.setattr("time.monotonic", lambda: next(seconds, 200))
    write_steps(tmp_path, 0, 2, total=2)
    assert " 8 images/s" in caplog.messages[0]


def test_a_training_of_one_step_tells_its_rate(tmp_path, caplog):
    write_steps(tmp_path, 0, 1, total=1)
    assert caplog.messages[0].endswith("0.0 min left")


def test_log_lines_tell_rate_and_time_left_where_there_is_no_terminal(tmp_path, caplog):
    write_steps(tmp_path, 0, 4)
    line = caplog.messages[0]
    assert line.startswith("step 2/6 epoch 1 loss 0.750") and "images/s" in line
    assert line.endswith("min left")


def test_a_resume_between_two_lines_writes_the_same_file(tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    for workdir in (whole, resumed):
        workdir.mkdir()
    write_steps(whole, 0, 7, total=7, log_every=5)
    sums = write_steps(resumed, 0, 3, total=7, log_every=5)
    write_steps(resumed, 3, 7, total=7, log_every=5, sums=json.loads(json.dumps(sums)))
    name = "metrics.jsonl"
    assert (whole / name).read_bytes() == (resumed / name).read_bytes()


def test_of_skipped_steps_only_the_number_is_told(tmp_path, caplog):
    with Journal(tmp_path, 0, total_steps=4, log_every=2, batch=8) as journal:
        for step, loss, skipped in ((1, 2.0, 0.0), (2, nan, 1.0), (3, nan, 1.0), (4, nan, 1.0)):
            journal.add(step, 1, 0.1, {"loss": loss, "skipped": skipped})
    assert read(tmp_path) == [
        {"step": 2, "epoch": 1, "loss": 2.0, "skipped": 1.0, "lr": 0.1},
        {"step": 4, "epoch": 1, "skipped": 2.0, "lr": 0.1},
    ]
    assert "no loss, 2 steps skipped" in caplog.text


@pytest.mark.slow
def test_what_writes_events_is_loaded_with_the_first_line(tmp_path):
    program = """
import sys
from pathlib import Path
from dpeformer_jax.training.journal import Journal
with Journal(Path(sys.argv[1]), 0, total_steps=2, log_every=2, batch=8) as journal:
    for step in (1, 2):
        print("tensorboardX" in sys.modules)
        journal.add(step, epoch=1, lr=0.1, metrics={"loss": 1.0})
    print("tensorboardX" in sys.modules)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert [word for word in told if word in ("True", "False")] == ["False", "False", "True"]


def test_what_was_watched_is_a_line_and_a_picture(tmp_path):
    seen = Watched({"scores/toy/concat/mAP": 0.5}, {"rankings/toy": Image.new("RGB", (30, 20))})
    with Journal(tmp_path, 0, total_steps=6, log_every=2, batch=8) as journal:
        journal.add(1, 1, 0.1, {"loss": 1.0})
        journal.watched(1, 1, seen)
        assert journal.has_watched(1) and not journal.has_watched(2)
    assert read(tmp_path) == [{"step": 1, "epoch": 1, "scores/toy/concat/mAP": 0.5}]
    values = [
        (event.step, value)
        for file in tmp_path.glob("events.*")
        for event in events_of(file)
        for value in event.summary.value
    ]
    (_, score), (step, picture) = values
    assert score.tag == "scores/toy/concat/mAP" and (step, picture.tag) == (1, "rankings/toy")
    found = Image.open(io.BytesIO(picture.image.encoded_image_string))
    assert found.size == (30, 20) == (picture.image.width, picture.image.height)


def test_a_line_of_losses_is_not_one_of_watching(tmp_path):
    write_steps(tmp_path, 0, 2)
    with Journal(tmp_path, 2, total_steps=6, log_every=2, batch=8) as journal:
        assert not journal.has_watched(2)
