"""The command line of main.py; tests/test_main.py runs it as processes."""

import sys
from pathlib import Path

import pytest
from absl.testing import flagsaver

import main  # noqa: F401, whose flags these are
from configs import quickstart
from configs.finding import STORED, with_config_first
from configs.parsing import parse
from configs.record import write_config
from dpeformer_jax.base.errors import UserError


@pytest.fixture
def workdir(tmp_path):
    write_config(tmp_path / "run", quickstart.get_config())
    return tmp_path / "run"


def stored(workdir):
    return f"--config={STORED}:{workdir / 'config.json'}"


def test_a_workdir_brings_its_config(workdir):
    for given in ([f"--workdir={workdir}"], ["--mode", "eval", "--workdir", str(workdir)]):
        first, second, *_ = with_config_first(["main.py", *given])[1:]
        assert (first, second) == (stored(workdir), f"--workdir={workdir}")


def test_a_given_config_comes_before_that_of_the_workdir(workdir):
    line = ["main.py", f"--workdir={workdir}", "--config.seed=1", "--config=configs/folder.py"]
    assert with_config_first(line)[1] == "--config=configs/folder.py"


def test_fields_come_after_the_config_that_they_override(workdir):
    line = ["main.py", "--config.seed=1", f"--config={workdir / 'config.json'}", "--json"]
    assert with_config_first(line) == ["main.py", stored(workdir), "--config.seed=1", "--json"]


def test_a_checkpoint_brings_the_config_of_its_workdir(workdir, tmp_path):
    line = ["main.py", f"--checkpoint={workdir}", f"--workdir={tmp_path / 'scores'}"]
    assert with_config_first(line)[1] == stored(workdir)


def test_a_checkpoint_comes_before_the_workdir_of_its_scores(workdir, tmp_path):
    write_config(tmp_path / "scores", quickstart.get_config())
    for checkpoint in (workdir, workdir / "checkpoints/7"):
        line = ["main.py", f"--workdir={tmp_path / 'scores'}", f"--checkpoint={checkpoint}"]
        assert with_config_first(line)[1] == stored(workdir)


def test_a_workdir_may_be_given_as_a_config(workdir):
    assert with_config_first(["main.py", f"--config={workdir}"])[1] == stored(workdir)


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--config={0}/config.json:released", "takes no preset"),
        ("--config={0}/eval.json", "has none of a config's fields"),
        ("--config=configs/foldr.py", "foldr.py is not a file; did you mean configs/folder.py"),
        ("--config={0}/none.json", "none.json cannot be read as a config"),
        ("--config.seed=1", "--config.seed=1 changes a config, and there is none"),
    ],
)
def test_what_is_no_config_is_named(workdir, argument, told):
    (workdir / "eval.json").write_text('{"step": 1, "datasets": {}}')
    with pytest.raises(UserError, match=told):
        with_config_first(["main.py", argument.format(workdir)])


def test_a_folder_without_a_config_brings_none(tmp_path):
    line = ["main.py", f"--workdir={tmp_path}", "--mode=compare"]
    assert sorted(with_config_first(line)) == sorted(line)


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("config.train.lr", "optim.lr"),
        ("config.lr", "optim.lr"),
        ("config.train.epoch", "train.epochs"),
        ("epochs", "train.epochs"),
    ],
)
def test_a_field_of_another_section_is_found(capsys, field, meant):
    with pytest.raises(SystemExit) as ended:
        parse(["main.py", f"--{field}=1"])
    assert ended.value.code == 2
    assert f"did you mean config.{meant}?" in capsys.readouterr().err


def test_a_word_that_belongs_to_no_flag_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as ended:
        parse(["main.py", "--config=configs/quickstart.py", "extra"])
    assert ended.value.code == 2
    assert "'extra' belongs to no flag" in capsys.readouterr().err


def test_the_stored_config_lies_where_parsing_looks_for_it():
    assert Path(STORED).is_file()
