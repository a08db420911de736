"""Every field has a reader and a comment, and every config opens with its command."""

import re
from pathlib import Path

import pytest

from configs import default
from dpeformer_jax.validation import flatten

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / "configs").glob("*.py") if p.name != "__init__.py")
# total_loss takes these as one LossWeights, whose fields have the same names.
READ_AS_ONE = "loss."


@pytest.mark.parametrize("name", flatten(default.get_config().to_dict()))
def test_every_field_is_read(name):
    section, _, field = name.rpartition(".")
    sources = [ROOT / "main.py", *(ROOT / "dpeformer_jax").rglob("*.py")]
    sources += [p for p in (ROOT / "data").glob("*.py")]
    text = "".join(p.read_text() for p in sources if p.name != "validation.py")
    holder = (
        "weights" if section + "." == READ_AS_ONE else rf"(?:{section or 'config'}|fields|config)"
    )
    assert re.search(rf"\b{holder}\.{field}\b", text), f"config.{name} has no reader"


def test_every_field_has_a_comment():
    for line in (ROOT / "configs/default.py").read_text().splitlines():
        if re.match(r"    \w+(\.\w+)+ = ", line) and "ConfigDict()" not in line:
            assert "  # " in line, line


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_other_configs_open_with_their_command(path):
    if path.stem != "default":
        assert f"python main.py --config=configs/{path.name}" in path.read_text().split('"""')[1]
