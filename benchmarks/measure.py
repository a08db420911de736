"""Measures two programs in turns, for a noisy machine, and prints a JSON line for each result."""

import json
import math
import os
import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol

import jax
import psutil

from dpeformer_jax.runtime.machine import processor, versions

# By default JAX takes three quarters of a GPU's memory, which would leave the peer too little.
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")

SHORTEST = 0.3  # seconds that a measurement lasts; a quick call is repeated
PAUSE = 0.25  # seconds between two programs, as torch's threads spin on after their work
PACKAGES = ("jax", "jaxlib", "flax", "numpy", "torch", "timm")
PRODUCT = {"cpu": 2048}  # rows of the square matrices that show a platform's peak
LARGE_PRODUCT = 8192  # on any other platform


class Timed(Protocol):
    """A program whose time can be measured."""

    def seconds(self, calls: int = 1) -> float:
        """Returns the seconds of one call; makes that many calls and waits for the last."""


class Program(NamedTuple):
    """A program of this process.

    run: starts the work and returns its result; wait: waits until the result is there.
    """

    run: Callable[[], Any]
    wait: Callable[[Any], Any] = jax.block_until_ready

    def seconds(self, calls: int = 1) -> float:
        """Returns the seconds of one call; makes that many calls and waits for the last."""
        start = time.perf_counter()
        for _ in range(calls):
            result = self.run()
        self.wait(result)
        return (time.perf_counter() - start) / calls


class Timing(NamedTuple):
    """Times of one program, or of two that took turns.

    first, second: median seconds of a call; ratio: median of second / first over the turns. second
    and ratio are None without a second program.
    """

    first: float
    second: float | None
    ratio: float | None


def alternate(first: Timed, second: Timed | None, repeats: int) -> Timing:
    """Measures two programs in turns, so that a slow spell of the machine meets both."""
    programs = [first] if second is None else [first, second]
    calls = [_calls(program) for program in programs]
    rounds = []
    for _ in range(repeats):
        rounds.append([])
        for program, count in zip(programs, calls, strict=True):
            time.sleep(PAUSE)
            rounds[-1].append(program.seconds(count))
    medians = [statistics.median(times) for times in zip(*rounds, strict=True)]
    if second is None:
        return Timing(medians[0], None, None)
    return Timing(*medians, statistics.median(after / before for before, after in rounds))


def _calls(program: Timed) -> int:
    """Returns how many calls a measurement needs to last SHORTEST seconds."""
    program.seconds()  # compiles
    return math.ceil(SHORTEST / program.seconds())


@cache
def matmul_peak(dtype: str) -> float:
    """Returns the FLOPs a second that all devices together reach in large square products."""
    size = PRODUCT.get(jax.default_backend(), LARGE_PRODUCT)
    # Random numbers, for a GPU multiplies constant matrices faster than those of a training.
    matrix = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype)
    square = jax.jit(lambda x: x @ x)
    product = Program(lambda: square(matrix))
    product.seconds()
    calls = 1 if jax.default_backend() == "cpu" else 10
    best = min(product.seconds(calls) for _ in range(5))
    return 2 * size**3 / best * jax.device_count()


def planned_memory(compiled: jax.stages.Compiled) -> int:
    """Returns the bytes of arguments, temporary values, and results that replace no argument."""
    memory = compiled.memory_analysis()
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.argument_size_in_bytes + memory.temp_size_in_bytes + results


def machine() -> dict[str, Any]:
    """Describes the machine."""
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "platform": jax.default_backend(),
        "cpu": processor(),
        "cores": psutil.cpu_count(),
    }


def report(
    benchmark: str,
    config: dict[str, Any],
    value: float,
    unit: str,
    peer: dict[str, Any] | None = None,
    **more: float | None,
) -> None:
    """Prints a result as one line of JSON.

    Args:
        benchmark: name of the figure.
        config: the setting.
        value, unit: the figure.
        peer: {"name", "value", "ratio"} of the same run, or None. A ratio above 1 says that this
            program is better.
        more: further numbers by name.
    """
    line = {
        "benchmark": benchmark,
        "machine": machine(),
        "versions": versions(PACKAGES),
        "config": config,
        "value": value,
        "unit": unit,
        "peer": peer,
        "more": more,
    }
    print(json.dumps(line), flush=True)
