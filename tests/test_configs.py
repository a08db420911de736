"""Every field has a reader and a comment, and every config opens with its command."""

import importlib
import re
from pathlib import Path

import pytest

from configs import default
from dpeformer_jax.model.description import PRESETS
from dpeformer_jax.validation import flatten

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / "configs").glob("*.py") if p.name != "__init__.py")
# Who reads the fields of a section, and under which name the section goes there.
READERS = {
    "": [("main.py", "config"), ("dpeformer_jax/training/experiment.py", "config")],
    "data": [("data/dataset.py", "fields"), ("main.py", "config.data")],
    "model": [("dpeformer_jax/training/experiment.py", "fields")],
    "init": [("dpeformer_jax/training/loop.py", "config.init")],
    "views": [("main.py", "config.views"), ("dpeformer_jax/training/loop.py", "config.views")],
    "loss": [("dpeformer_jax/training/losses.py", "weights")],
    "optim": [("dpeformer_jax/training/experiment.py", "optim")],
    "train": [("dpeformer_jax/training/loop.py", "config"), ("main.py", "config.train")],
    "eval": [
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
        assert f"python main.py --config=configs/{path.name}" in path.read_text().split('"""')[1]
