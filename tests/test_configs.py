"""Every field has a reader and a comment, and every config opens with its command."""

import importlib
import re
from pathlib import Path

import pytest

from configs import default
from data.catalog import builder_of
from data.dataset import sources_of
from dpeformer_jax.model.description import PRESETS
from dpeformer_jax.validation import flatten, validate

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / "configs").glob("*.py") if p.name != "__init__.py")
# Who reads the fields of a section, and under which name the section goes there.
READERS = {
    "": [("main.py", "config"), ("dpeformer_jax/training/parallel.py", "config")],
    "data": [
        ("data/dataset.py", "fields"),
        ("data/verify.py", "fields"),
        ("main.py", "config.data"),
    ],
    "distributed": [("dpeformer_jax/processes.py", "fields")],
    "model": [("dpeformer_jax/training/experiment.py", "fields")],
    "init": [("dpeformer_jax/training/loop.py", "config.init")],
    "views": [("main.py", "config.views"), ("dpeformer_jax/training/parallel.py", "config.views")],
    "loss": [("dpeformer_jax/training/losses.py", "weights")],
    "optim": [("dpeformer_jax/training/experiment.py", "optim")],
    "train": [
        ("dpeformer_jax/training/loop.py", "config"),
        ("dpeformer_jax/training/experiment.py", "config.train"),
        ("dpeformer_jax/training/parallel.py", "config.train"),
        ("main.py", "config.train"),
    ],
    "eval": [
        ("main.py", "config.eval"),
        ("dpeformer_jax/training/experiment.py", "config.eval"),
        ("dpeformer_jax/training/experiment.py", "fields"),
    ],
}


@pytest.mark.parametrize("name", flatten(default.get_config().to_dict()))
def test_every_field_is_read(name):
    section, _, field = name.rpartition(".")
    assert any(
        re.search(rf"\b{holder}\.{field}\b", (ROOT / path).read_text())
        for path, holder in READERS[section]
    ), f"config.{name} has no reader"


def test_every_field_has_a_comment():
    for line in (ROOT / "configs/default.py").read_text().splitlines():
        if re.match(r"    \w+(\.\w+)+ = ", line) and "ConfigDict()" not in line:
            assert "  # " in line, line


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_takes_the_released_preset(path):
    module = importlib.import_module(f"configs.{path.stem}")
    paper, preset = (flatten(module.get_config(name).to_dict()) for name in ("", "released"))
    assert {name: preset[name] for name in preset if preset[name] != paper[name]} == {
        **{f"model.{name}": value for name, value in PRESETS["released"].items()},
        "views.second": "erasing",
        "loss.memory_epsilon": 1e-6,
    }
    assert PRESETS["paper"].items() <= {k.removeprefix("model."): paper[k] for k in paper}.items()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_other_configs_open_with_their_command(path):
    if path.stem != "default":
        assert f"python main.py --config=configs/{path.name}" in opening(path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_config_says_what_it_reached_or_that_it_was_not_run(path):
    told = opening(path)
    assert "docs/results.md" in told or "Not run here" in told
    if "Not run here" in told and path.stem != "default":
        assert "Published for" in told or "No score of this method" in told


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_the_data_sets_of_a_config_are_known_and_valid(path):
    config = importlib.import_module(f"configs.{path.stem}").get_config()
    validate(config, devices=1)
    training, testing = sources_of(config.data, config.eval.datasets)
    for source in training + testing:
        assert builder_of(source).variant_of(source) in builder_of(source).VARIANTS
    assert all("train" in published(source) for source in training if published(source))


def published(source):
    builder = builder_of(source)
    return builder.PUBLISHED.get(builder.variant_of(source))


def opening(path):
    """What a config says before its code, in one line."""
    return " ".join(path.read_text().split('"""')[1].split())
