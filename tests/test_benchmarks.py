"""The programs behind docs/performance.md."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from benchmarks import measure
from benchmarks.flops import forward_flops
from benchmarks.measure import Program, alternate
from benchmarks.run import COMMANDS
from benchmarks.setting import Setting
from benchmarks.table import BEGIN, END, page_with
from dpeformer_jax.model.vit import VARIANTS, VisionTransformer

ROOT = Path(__file__).parents[1]
KEYS = {"benchmark", "machine", "versions", "config", "value", "unit", "peer", "more"}
MACHINE = {"device", "devices", "platform", "cpu", "cores"}


def line(**fields):
    config = {"variant": "b16", "image_size": [256, 128], "batch_size": 64}
    return {
        "benchmark": "extract",
        "machine": {"platform": "gpu", "device": "NVIDIA H100", "devices": 1},
        "versions": {"python": "3.11.7"},
        "config": config | {"dtype": "bfloat16", "attention": "cudnn"},
        "value": 1234.5,
        "unit": "images/s",
        "peer": {"name": "timm ViT", "value": 999.9, "ratio": 1.2346},
        **fields,
    }


@pytest.fixture
def hurried(monkeypatch):
    """Measurements of one call each."""
    monkeypatch.setattr(measure, "SHORTEST", 1e-9)
    monkeypatch.setattr(measure, "PAUSE", 0)


def test_the_work_of_a_vit_is_counted():
    setting = Setting("b16", (256, 128), batch_size=1, dtype="float32", attention="xla")
    assert forward_flops(setting) == pytest.approx(22.9e9, rel=0.01)
    model = VisionTransformer(VARIANTS["b16"], stride=16)
    image = jax.ShapeDtypeStruct((1, 256, 128, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    by_xla = jax.jit(model.apply).lower(variables, image).cost_analysis()["flops"]
    assert forward_flops(setting) == pytest.approx(by_xla, rel=0.01)


def test_a_ratio_above_1_says_that_the_first_is_faster(hurried):
    quick, slow = (Program(lambda s=s: time.sleep(s)) for s in (0.1, 0.2))
    timing = alternate(quick, slow, repeats=3)
    assert timing.first == pytest.approx(0.1, rel=0.3)
    assert timing.second == pytest.approx(0.2, rel=0.3)
    assert timing.ratio == pytest.approx(2, rel=0.3)
    assert alternate(quick, None, repeats=1)[1:] == (None, None)


def test_the_peer_takes_turns(hurried):
    order = []
    programs = [Program(lambda name=name: order.append(name)) for name in "ab"]
    alternate(*programs, repeats=2)
    assert "".join(order) == "aabb" + "abab"


def test_tables_replace_those_between_the_marks():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    alone = line(benchmark="dpsm", value=0.5, unit="%", peer=None)
    once = page_with(page, [[line(), alone], [line()]])
    assert once.startswith("before\n") and once.endswith("after\n") and "old" not in once
    setting = "b16, 256 x 128, batch 64, bfloat16, cudnn"
    assert f"| extract | {setting} | 1,234 images/s | timm ViT: 1,000 | 1.23 |\n" in once
    assert f"| dpsm | {setting} | 0.5 % |  |  |\n" in once
    assert once.count("### 1 x NVIDIA H100\n") == 2
    assert page_with(once, [[line(), alone], [line()]]) == once


@pytest.mark.slow
def test_all_benchmarks_run(tmp_path):
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--output", str(tmp_path)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    (file,) = tmp_path.glob("*.json")
    found = json.loads(file.read_text())
    assert list(found) == [command.split()[0] for command in COMMANDS["quick"]]
    lines = [line for lines in found.values() for line in lines]
    for measured in lines:
        assert measured.keys() == KEYS and measured["machine"].keys() == MACHINE
        assert math.isfinite(measured["value"]) and measured["value"] > 0
        peer = measured["peer"]
        assert peer is None or (peer.keys() == {"name", "value", "ratio"} and peer["ratio"] > 0)
    page = (tmp_path / "performance.md").read_text()
    assert all(f"| {measured['benchmark']} |" in page for measured in lines)
    assert not list(tmp_path.glob(".*"))  # nothing half written
