"""Programs are compiled for devices that are not here: what the compilers plan."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.collectives import asks_the_host, collectives_of
from benchmarks.plan_table import BEGIN, END, page_with_plans
from benchmarks.targets import H100, target_named, text_of
from dpeformer_jax.base.errors import UserError

ROOT = Path(__file__).parents[1]
HLO = """
  %all-reduce.5 = (f32[256,128]{1,0}, bf16[1024]{0}) all-reduce(%a, %b), replica_groups={{0,1}}
  %all-reduce.6 = f32[256]{0:T(256)} all-reduce(%c), to_apply=%add
  %ag = (f32[8]{0}, f32[32]{0}) all-gather-start(%d), dimensions={0}
  %done = f32[32]{0} all-gather-done(%ag)
  %x = f32[4]{0} fusion(%all-reduce.6), kind=kLoop
"""


def test_exchanges_are_counted_by_kind_and_dtype():
    assert collectives_of(HLO) == [
        {"kind": "all-gather", "dtype": "f32", "count": 1, "mib": 0.0},
        {"kind": "all-reduce", "dtype": "bf16", "count": 1, "mib": 0.0},
        {"kind": "all-reduce", "dtype": "f32", "count": 2, "mib": 0.13},
    ]


@pytest.mark.parametrize("line", ["infeed(%t)", 'custom_call_target="xla_python_gpu_callback"'])
def test_what_waits_for_the_host_is_noticed(line):
    assert not asks_the_host(HLO)
    assert asks_the_host(HLO + f"  %h = f32[] {line}\n")


def test_a_description_is_text_that_names_the_gpu():
    told = text_of(H100)
    assert "core_count: 132" in told and "cuda_compute_capability { major: 9 minor: 0 }" in told
    assert target_named("h100 4").shape == "1x1x4"


@pytest.mark.parametrize("name", ["a100", "h100 0", "tpu ", "gpu 2"])
def test_an_unknown_target_is_refused(name):
    with pytest.raises(UserError, match="--target="):
        target_named(name)


def test_a_plan_is_a_row():
    config = {"variant": "b16", "image_size": [256, 128], "batch_size": 64, "dtype": "bfloat16"}
    line = {
        "target": "tpu v5e:2x2",
        "program": "step, jit",
        "config": config | {"attention": "fused", "effort": -1.0},
        "versions": {"jax": "0.10.2"},
        "compiles": True,
        "seconds": {"trace": 2.0, "compile": 30.2},
        "memory": {"arguments": 700.0, "temporary": 900.0, "peak": 1600.4},
        "cost": {"flops": 2.2079e12, "bytes accessed": None},
        "collectives": [
            {"kind": "all-reduce", "dtype": "f32", "count": 8, "mib": 362.4},
            {"kind": "all-reduce", "dtype": "s32", "count": 1, "mib": 0.0},
        ],
    }
    failed = line | {"compiles": False, "reason": "Check failed: x"}
    page = page_with_plans(f"before\n{BEGIN}\nold\n{END}\nafter", [line, failed])
    assert page.startswith("before\n") and page.endswith("\nafter") and "old" not in page
    assert (
        "| tpu v5e:2x2 | step, jit | b16, 256 x 128, batch 64, bfloat16, fused, effort -1 | 30 s "
        "| 1,600 MiB | 2.21 |  | 8 all-reduce f32 362 MiB |\n"
    ) in page
    assert "effort -1 | Check failed: x |  |  |  |  |\n" in page


@pytest.fixture(scope="module")
def lines():
    """Tiny steps and feature passes for four TPU chips and four GPUs, in a process of their own.

    AOT_PYTHON names the Python of an environment with the extras aot-tpu and aot-cuda.
    """
    python = os.environ.get("AOT_PYTHON")
    if python is None:
        if os.environ.get("CI"):
            pytest.fail("AOT_PYTHON is missing; .ci/run makes it")
        pytest.skip("no AOT_PYTHON")
    clean = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    # With 8 pairs JAX 0.10.2's compiler for GPUs ends at a check of its own.
    options = "--variant mu --image-size 64 32 --batch-size 16 --dtype bfloat16"
    found = {}
    # cuDNN's attention needs a package of 900 MB.
    for target, more in (("tpu v5e:2x2", ""), ("h100 4", "--attention xla")):
        line = [python, "-m", "benchmarks.compiled", *f"{options} {more}".split()]
        line += ["--target", target]
        done = subprocess.run(line, cwd=ROOT, env=clean, capture_output=True, text=True, check=True)
        told = map(json.loads, done.stdout.splitlines())
        found |= {(line["target"], line["program"]): line for line in told}
    return found


@pytest.mark.slow
def test_everything_compiles_and_nothing_asks_the_host(lines):
    assert len(lines) == 8
    assert all(told["compiles"] and not told["asks_the_host"] for told in lines.values())
    assert all(told["memory"]["peak"] > 0 for told in lines.values())


@pytest.mark.slow
def test_a_tpu_takes_the_fused_attention(lines):
    told = [line for (target, _), line in lines.items() if target.startswith("tpu")]
    assert {line["config"]["attention"] for line in told} == {"fused"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "way", "kinds"),
    [
        ("tpu v5e:2x2", "jit", {"all-reduce", "collective-permute"}),
        ("tpu v5e:2x2", "pmap", {"all-reduce", "all-gather", "reduce-scatter"}),
        ("h100 4", "jit", {"all-reduce", "all-gather"}),
        ("h100 4", "pmap", {"all-reduce", "all-gather", "reduce-scatter"}),
    ],
)
def test_devices_exchange_in_few_kinds(lines, target, way, kinds):
    assert {of["kind"] for of in lines[target, f"step, {way}"]["collectives"]} <= kinds


@pytest.mark.slow
@pytest.mark.parametrize("target", ["tpu v5e:2x2", "h100 4"])
@pytest.mark.parametrize("way", ["jit", "pmap"])
def test_gradients_are_summed_in_float32(lines, target, way):
    sums = [of for of in lines[target, f"step, {way}"]["collectives"] if of["kind"] == "all-reduce"]
    assert {of["dtype"] for of in sums if of["mib"] > 0.01} == {"f32"}, sums
