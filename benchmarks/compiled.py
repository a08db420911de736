"""Compiles training and feature pass for devices that are not here, and tells what XLA plans.

python -m benchmarks.compiled --target "tpu v5e:2x2" "h100 1" --dtype bfloat16

A line a program: whether and in what time it compiles on this machine's cores, the memory that it
takes on a device, FLOPs and bytes where the compiler tells them, and what devices exchange. Needs
the extras aot-tpu and aot-cuda, and neither a TPU nor a GPU nor their drivers.
"""

import argparse
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# The devices are other ones; JAX itself needs none but the host's.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Of libtpu, which would ask a cloud for its name.
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
# Several processes may compile at once, as none of them uses a TPU.
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")

import jax
import numpy as np
from jax.stages import Compiled, Lowered

from benchmarks.collectives import asks_the_host, collectives_of
from benchmarks.measure import planned_memory, versions
from benchmarks.setting import Setting
from benchmarks.targets import Target, target_named
from benchmarks.training import CAMERAS, IDENTITIES, random_bank, random_batch
from configs.default import ATTENTIONS
from configs.unpack import experiment_of, feature_pass_of
from dpeformer_jax.base.command import one_paragraph
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.runtime.devices import replicated, split_by_example
from dpeformer_jax.training.experiment import Experiment
from dpeformer_jax.training.step import Resident, lower_step

PACKAGES = ("jax", "jaxlib", "flax", "libtpu", "jax-cuda13-plugin", "nvidia-cudnn-cu13")
PROGRAMS = ("start", "step", "features")
TARGETS = ("tpu v5e:2x2", "h100 1", "h100 4")


def main() -> None:
    """Prints a line for each program and target that the command line asks for."""
    given = _parser().parse_args()
    with one_paragraph("benchmarks.compiled"):
        points = list(_points(given))
        if len(points) == 1:
            print(json.dumps(measured(*points[0], given.effort)), flush=True)
            return
        for target, setting, program, way in points:
            print(json.dumps(_apart(given, target, setting, program, way)), flush=True)


def _points(given: argparse.Namespace) -> Iterator[tuple[Target, Setting, str, str]]:
    for name, dtype, program in itertools.product(given.target, given.dtype, given.program):
        target = target_named(name, given.description)
        size = tuple(given.image_size)
        setting = Setting(given.variant, size, given.batch_size, dtype, given.attention)
        for way in given.parallel if program == "step" else ["jit"]:
            yield target, setting, program, way


def _apart(
    given: argparse.Namespace, target: Target, setting: Setting, program: str, way: str
) -> dict[str, Any]:
    """Compiles a program in a process of its own: XLA ends the process where it fails a check."""
    point = {"target": target.name, "program": program, "parallel": way, "dtype": setting.dtype}
    line = [sys.executable, "-m", "benchmarks.compiled", *_words(vars(given) | point)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    told = [text for text in done.stderr.splitlines() if "Check failed" in text]
    reason = (told or done.stderr.splitlines() or ["no word"])[-1]
    return _heading(target, setting, program, way, given.effort) | {
        "compiles": False,
        "reason": f"the compiler ended with code {done.returncode}: {reason}",
    }


def _words(options: Mapping[str, Any]) -> list[str]:
    """Returns options, of which some may have several values, as on a command line."""
    words = []
    for name, value in options.items():
        if value is not None:
            values = value if isinstance(value, list | tuple) else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return words


def _heading(
    target: Target, setting: Setting, program: str, way: str, effort: float
) -> dict[str, Any]:
    return {
        "benchmark": "compiled",
        "target": target.name,
        "program": program if program != "step" else f"step, {way}",
        "config": dataclasses.asdict(setting) | {"effort": effort},
        "versions": versions(PACKAGES),
    }


def measured(
    target: Target, setting: Setting, program: str, way: str, effort: float = 0.0
) -> dict[str, Any]:
    """Compiles one program; returns its line, with the reason where it does not compile."""
    told = _heading(target, setting, program, way, effort)
    experiment = experiment_of(setting.config, IDENTITIES, CAMERAS, target.mesh())
    experiment = dataclasses.replace(experiment, parallel=way)
    told["config"]["attention"] = experiment.network.attention
    lower = {"start": lowered_start, "step": lowered_step, "features": lowered_features}[program]
    options = {"exec_time_optimization_effort": effort} if effort else None
    began = time.monotonic()
    try:
        lowered = lower(experiment, setting)
        traced = time.monotonic()
        compiled = lowered.compile(options)
    except (jax.errors.JaxRuntimeError, NotImplementedError, ValueError) as error:
        return told | {"compiles": False, "reason": str(error).splitlines()[0]}
    seconds = {"trace": traced - began, "compile": time.monotonic() - traced}
    rounded = {name: round(value, 1) for name, value in seconds.items()}
    return told | {"compiles": True, "seconds": rounded, **planned(compiled)}


def planned(compiled: Compiled) -> dict[str, Any]:
    """Returns what the compiler tells of a program, of each device.

    memory: MiB of arguments, of temporary values, and of both with what is not given back in the
    arguments' place; cost: FLOPs and bytes accessed, None where the compiler tells neither.
    """
    memory, hlo = compiled.memory_analysis(), compiled.as_text()
    sizes = {
        "arguments": memory.argument_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
        "peak": planned_memory(compiled),
    }
    cost = compiled.cost_analysis() or {}
    return {
        "memory": {name: round(size / 2**20, 1) for name, size in sizes.items()},
        "cost": {name: cost.get(name) for name in ("flops", "bytes accessed")},
        "collectives": collectives_of(hlo),
        "asks_the_host": asks_the_host(hlo),
    }


def lowered_start(experiment: Experiment, setting: Setting) -> Lowered:
    """Lowers what draws the first weights."""
    key = jax.eval_shape(lambda: jax.random.key(experiment.seed))
    return experiment.creation.lower(key)


def lowered_step(experiment: Experiment, setting: Setting) -> Lowered:
    """Lowers the training step for the experiment's devices, which hold nothing."""
    mesh = experiment.mesh
    return lower_step(
        experiment,
        experiment.state_like(),
        _shapes(random_batch(setting), split_by_example(mesh)),
        experiment.schedule.rates(1),
        _shapes(Resident(random_bank(setting.image_size)), replicated(mesh)),
    )


def lowered_features(experiment: Experiment, setting: Setting) -> Lowered:
    """Lowers the feature pass."""
    mesh = experiment.mesh
    features = feature_pass_of(setting.config, experiment.spec, mesh)
    batch = _shapes(random_batch(setting), split_by_example(mesh))
    variables = experiment.state_like().variables
    return features.lower(variables, batch["image"], batch["camera_row"])


def _shapes(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=sharding), tree
    )


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--target", nargs="+", default=TARGETS, help='as "tpu v5e:2x2", "h100 4"')
    parser.add_argument("--description", type=Path, help='of the GPU of the target "gpu N"')
    parser.add_argument("--program", nargs="+", choices=PROGRAMS, default=PROGRAMS)
    parser.add_argument("--parallel", nargs="+", choices=("jit", "pmap"), default=["jit", "pmap"])
    parser.add_argument("--variant", choices=VARIANTS, default="b16")
    parser.add_argument("--image-size", type=int, nargs=2, default=(256, 128))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16"), default=["bfloat16"])
    parser.add_argument("--attention", choices=ATTENTIONS, default="auto")
    parser.add_argument(
        "--effort", type=float, default=0.0, help="of XLA, -1 to 1: less compiles faster (0)"
    )
    return parser


if __name__ == "__main__":
    main()
