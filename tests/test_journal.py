"""metrics.jsonl: averages, and no repeated step after a resume."""

import json

import pytest

from dpeformer_jax.training.journal import Journal, forget_after


def read(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def write_steps(workdir, start, end, total=6):
    with Journal(workdir, start, total_steps=total, log_every=2, batch=8) as journal:
        for step in range(start + 1, end + 1):
            journal.add(step, epoch=1, lr=0.1, metrics={"loss": float(step)})


def test_a_line_averages_the_steps_since_the_last_one(tmp_path):
    write_steps(tmp_path, 0, 6)
    lines = read(tmp_path)
    assert [(line["step"], line["loss"]) for line in lines] == [(2, 1.5), (4, 3.5), (6, 5.5)]
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


def test_plain_lines_tell_rate_and_time_left_where_there_is_no_terminal(tmp_path, capsys):
    write_steps(tmp_path, 0, 4)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("step 2/6 epoch 1 loss 1.500") and "images/s" in line
    assert line.endswith("min left")
