"""Profiles some steps of a training by jax.profiler."""

import contextlib
import logging
from pathlib import Path
from typing import Any

import jax

from dpeformer_jax.runtime.processes import is_first

LOG = logging.getLogger(__name__)
WARM_UP = 3  # steps before the first that is recorded: they compile, and fill caches


class Trace:
    """Records steps of the first process, for TensorBoard's profiler, xprof and Perfetto."""

    def __init__(self, folder: Path, steps: int):
        self._folder, self._last = folder, WARM_UP + steps if steps and is_first() else 0
        self._followed, self._running = 0, False

    def follow(self, outcome: Any) -> None:
        """Takes the outcome of a step, right after its dispatch."""
        self._followed += 1
        if self._last and self._followed == WARM_UP:
            jax.block_until_ready(outcome)
            jax.profiler.start_trace(self._folder)
            self._running = True
        elif self._running and self._followed == self._last:
            jax.block_until_ready(outcome)
            self._stop()

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *_) -> None:
        """Keeps what was recorded where the training ends early, whatever the reason."""
        with contextlib.suppress(OSError, RuntimeError):
            if self._running:
                self._stop()

    def _stop(self) -> None:
        self._running = False
        jax.profiler.stop_trace()
        LOG.info("profile of the steps in %s", self._folder)
