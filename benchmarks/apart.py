"""Runs a program in a process of its own, so that its memory is known."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import psutil

STATUS = Path("/proc/self/status")


class Outcome(NamedTuple):
    """seconds: of a call; result: what it returned; peak, above: see `Apart`."""

    seconds: float
    result: Any
    peak: int
    above: int


class Apart:
    """A program in a process of its own: `run(prepare())`.

    Attributes:
        outcome: of the last call. Its `peak` is the highest resident memory of the process so far
            in bytes, `above` how far that is above what the process had after `prepare`.
    """

    outcome: Outcome

    def __init__(self, run: Callable[[Any], Any], prepare: Callable[[], Any]):
        """Starts the process; both functions must be such that they can be pickled."""
        context = multiprocessing.get_context("spawn")
        self._run, self._pool = run, ProcessPoolExecutor(1, context, _prepare, (prepare,))

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def seconds(self, calls: int = 1) -> float:
        """Returns the seconds of one call; makes that many calls."""
        taken = 0.0
        for _ in range(calls):
            self.outcome = self._pool.submit(_measured, self._run).result()
            taken += self.outcome.seconds
        return taken / calls


def _prepare(prepare: Callable[[], Any]) -> None:
    global _prepared, _before
    _prepared = prepare()
    _before = psutil.Process().memory_info().rss


def _measured(run: Callable[[Any], Any]) -> Outcome:
    start = time.perf_counter()
    result = run(_prepared)
    seconds = time.perf_counter() - start
    peak = _highest()
    return Outcome(seconds, result, peak, peak - _before)


def _highest() -> int:
    """Returns the highest resident memory of this process so far, in bytes."""
    if not STATUS.exists():  # macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux lets ru_maxrss begin with the memory of the process that started this one.
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])
