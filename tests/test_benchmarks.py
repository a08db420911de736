"""Tests the programs behind docs/performance.md."""

import json
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import measure, score, whole_matrix
from benchmarks.apart import Apart
from benchmarks.drawn_features import Size, draw
from benchmarks.flops import forward_flops
from benchmarks.measure import Program, alternate
from benchmarks.recipe import steps_of
from benchmarks.run import COMMANDS, keep, stored, take
from benchmarks.setting import Setting
from benchmarks.table import BEGIN, END, page_with, row
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.model.vit import VisionTransformer

ROOT = Path(__file__).parents[1]
KEYS = {"benchmark", "machine", "versions", "config", "value", "unit", "peer", "more"}
MACHINE = {"device", "devices", "platform", "cpu", "cores"}

SIZE = Size(queries=90, gallery=300, width=32, identities=10, distractors=40, storage="float16")


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
    """Makes each measurement a single call without a pause."""
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


def test_the_recipe_is_the_published_one():
    setting = Setting("b16", (256, 128), batch_size=64, dtype="bfloat16", attention="cudnn")
    assert steps_of(setting) == 120 * 244  # epochs, batches in 15,618 images


class Told:
    """A program with given times, after its two calls that compile and count."""

    def __init__(self, *seconds):
        self._seconds = [seconds[0], seconds[0], *seconds]

    def seconds(self, calls=1):
        return self._seconds.pop(0)


def test_a_ratio_above_1_says_that_the_first_is_faster(hurried):
    timing = alternate(Told(1, 2, 9), Told(3, 4, 27), repeats=3)
    assert timing == (2, 4, 3)  # the medians, and that of 3, 2 and 3
    assert alternate(Told(1), None, repeats=1) == (1, None, None)


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


def test_the_row_of_a_figure_without_a_network():
    told = row(line(benchmark="score", config=vars(SIZE), value=1.5, unit="s", peer=None))
    assert told == "| score | 90 x 340 images, 32 numbers, float16 | 1.5 s |  |  |\n"


def test_drawn_features_are_of_the_size_asked_for():
    drawn, again = draw(SIZE), draw(SIZE)
    assert drawn.query.shape == (90, 32) and drawn.query.dtype == np.float32
    assert drawn.gallery.shape == (340, 32) and drawn.gallery.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(drawn.query, axis=1), 1, rtol=1e-6)
    assert set(drawn.of_query.identities) == set(range(1, 11))
    assert (drawn.of_gallery.identities == 0).sum() == SIZE.others + SIZE.distractors
    np.testing.assert_array_equal(drawn.gallery, again.gallery)
    with pytest.raises(ValueError, match="a gallery of 20 images is too small for 10 identities"):
        Size(90, 20, 32, 10, 0, "float32")


def test_the_scores_of_the_whole_matrix_are_ours():
    drawn = draw(SIZE)
    ours = score.scored(drawn)
    assert 0.3 < ours["mAP"] < 0.9
    assert score.difference(ours, score.sorted_whole(drawn)) < 1e-6
    with pytest.raises(RuntimeError, match="the scores differ by 0.01"):
        score.difference(ours, {"mAP": ours["mAP"] + 0.01})


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (50, 15)])
def test_dense_reranking_gives_the_reference_values(k1, k2):
    values = np.load(ROOT / "tests/golden/evaluation.npz")
    found = whole_matrix.rerank(values["qf"], values["gf"], k1, k2)
    expected = values[f"raw/rerank_{k1}_{k2}/dist_f32variant"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_memory_of_a_program_is_what_it_takes_above_its_input():
    numbers = 16_000_000
    with Apart(np.median, partial(np.ones, numbers)) as program:  # which copies its input
        assert program.seconds() > 0 and program.outcome.result == 1
        taken = 8 * numbers
        assert taken < program.outcome.above < 1.2 * taken
        assert program.outcome.peak > 2 * taken


@pytest.mark.slow
def test_all_benchmarks_run(tmp_path):
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--output", str(tmp_path)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    (file,) = tmp_path.glob("*.json")
    lines = json.loads(file.read_text())
    names = dict.fromkeys(line["benchmark"].split("_")[0] for line in lines)
    assert list(names) == [command.split("_")[0].split()[0] for command in COMMANDS["quick"]]
    for measured in lines:
        assert measured.keys() == KEYS and measured["machine"].keys() == MACHINE
        assert math.isfinite(measured["value"]) and measured["value"] > 0
        peer = measured["peer"]
        assert peer is None or (peer.keys() == {"name", "value", "ratio"} and peer["ratio"] > 0)
    page = (tmp_path / "performance.md").read_text()
    assert all(f"| {measured['benchmark']} |" in page for measured in lines)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
def test_a_gallery_is_measured():
    sizes = ("--rows", "2000", "--width", "16", "--kinds", "ivf", "hnsw")
    command = [sys.executable, "-m", "benchmarks.gallery", *sizes]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = {line.pop("gallery"): line for line in map(json.loads, ended.stdout.splitlines())}
    assert list(lines)[:2] == ["build", "exact"] and lines["build ivf"]["recall"] > 0.9
    assert all(of["s"] > 0 for name, of in lines.items() if "s" in of), lines


def test_a_line_takes_the_place_of_the_one_before_it(tmp_path):
    keep(tmp_path, [line(), line(benchmark="dpsm")])
    keep(tmp_path, [line(value=2.0)])
    assert [(x["benchmark"], x["value"]) for x in stored(tmp_path)[0]] == [
        ("extract", 2.0),
        ("dpsm", 1234.5),
    ]
    keep(tmp_path, [line(value=3.0, versions={"python": "3.14.0"})])
    assert [len(lines) for lines in stored(tmp_path)] == [1, 1]


def test_the_lines_of_another_folder_join_those_that_are_there(tmp_path):
    brought, results = tmp_path / "brought", tmp_path / "results"
    brought.mkdir()
    results.mkdir()
    keep(results, [line(), line(benchmark="score", config=vars(SIZE))])
    keep(brought, [line(value=2.0), line(benchmark="recipe")])
    for _ in range(2):  # the second time changes nothing
        take(brought, results, tmp_path / "page.md")
        assert [(x["benchmark"], x["value"]) for x in stored(results)[0]] == [
            ("extract", 2.0),
            ("score", 1234.5),
            ("recipe", 1234.5),
        ]
    assert "| recipe |" in (tmp_path / "page.md").read_text()
