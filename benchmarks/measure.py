"""Measures on a noisy machine: two programs in turns, and one JSON line a result."""

import importlib.metadata
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import psutil

# JAX takes three quarters of a GPU's memory at its first use, and the peer wants its share of it.
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")

SHORTEST = 0.3  # seconds that a measurement lasts; a quick call is repeated until then
PAUSE = 0.25  # seconds between two programs: the threads of torch spin on after their work
PACKAGES = ("jax", "jaxlib", "flax", "numpy", "torch", "timm")
PRODUCT = {"cpu": 2048}  # rows of the matrices that show a platform's peak
LARGE_PRODUCT = 8192


class Timed(Protocol):
    """What can be measured."""

    def seconds(self, calls: int = 1) -> float:
        """For one of that many calls, of which the last is waited for."""


class Program(NamedTuple):
    """run(): starts the work and returns its result; wait(result): until that is there."""

    run: Callable[[], Any]
    wait: Callable[[Any], Any] = jax.block_until_ready

    def seconds(self, calls: int = 1) -> float:
        """For one of that many calls, of which the last is waited for."""
        start = time.perf_counter()
        for _ in range(calls):
            result = self.run()
        self.wait(result)
        return (time.perf_counter() - start) / calls


class Timing(NamedTuple):
    """Median seconds of a call; ratio: median of second / first, pair by pair.

    Without a second program it has neither.
    """

    first: float
    second: float | None
    ratio: float | None


def alternate(first: Timed, second: Timed | None, repeats: int) -> Timing:
    """Measures first, second, first, ... so that a slow spell of the machine meets both."""
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
    """How many make a measurement; found after the call that compiles."""
    program.seconds()
    return math.ceil(SHORTEST / program.seconds())


@cache
def matmul_peak(dtype: str) -> float:
    """FLOP a second of all devices in the largest kind of work they do: square products."""
    size = PRODUCT.get(jax.default_backend(), LARGE_PRODUCT)
    # Not of ones, on which a GPU is faster than on what trainings multiply.
    matrix = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype)
    square = jax.jit(lambda x: x @ x)
    product = Program(lambda: square(matrix))
    product.seconds()
    calls = 1 if jax.default_backend() == "cpu" else 10
    best = min(product.seconds(calls) for _ in range(5))
    return 2 * size**3 / best * jax.device_count()


def machine() -> dict[str, Any]:
    """Where this runs."""
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "platform": jax.default_backend(),
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
    }


def versions() -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def report(
    benchmark: str,
    config: dict[str, Any],
    value: float,
    unit: str,
    peer: dict[str, Any] | None = None,
    **more: float | None,
) -> None:
    """Prints a result as one line of JSON.

    peer: {"name", "value", "ratio"}, measured in the same run; a ratio above 1 says that ours is
    better. None where there is nothing to compare with.
    """
    line = {
        "benchmark": benchmark,
        "machine": machine(),
        "versions": versions(),
        "config": config,
        "value": value,
        "unit": unit,
        "peer": peer,
        "more": more,
    }
    print(json.dumps(line), flush=True)


def _cpu_model() -> str:
    """The name that Linux gives, else what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
