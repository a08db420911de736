"""Makes several processes one program, through JAX's own distributed runtime."""

import contextlib
import dataclasses
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from dpeformer_jax.base.atomic_write import write_text
from dpeformer_jax.base.errors import UserError


@dataclasses.dataclass(frozen=True)
class Distributed:
    """`config.distributed`, see configs/default.py: how the processes find each other.

    For "", 0 and -1 JAX asks the environment: SLURM, Open MPI, Kubernetes, TPU pods.
    """

    enabled: bool = False
    coordinator: str = ""
    processes: int = 0
    process: int = -1


def join_processes(settings: Distributed) -> None:
    """Connects this process with the others; from then on only process 0 prints and logs.

    Must be called before anything is computed. Raises UserError where they do not find each other.
    """
    if not settings.enabled:
        return
    jax.config.update("jax_enable_preemption_service", False)  # SIGTERM is the training's
    try:
        jax.distributed.initialize(
            coordinator_address=settings.coordinator or None,
            num_processes=settings.processes or None,
            process_id=settings.process if settings.process >= 0 else None,
            heartbeat_timeout_seconds=20,  # after which the others know that a process is gone
        )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"config.distributed.enabled = True, but the processes do not find each other: {error} "
            "Outside of SLURM, Open MPI, Kubernetes and TPU pods set "
            "config.distributed.coordinator (host:port of process 0), .processes and .process, "
            "the last one different in each"
        ) from error
    if not is_first():
        sys.stdout = open(os.devnull, "w")
        logging.disable(logging.CRITICAL)


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
    """Ends a process that fails within the block at once, so that the others see it and end too.

    Otherwise the process would wait for the others at JAX's closing barrier, and they for it at the
    next step. After a signal all processes leave, and the barrier is passed.
    """
    try:
        yield
    except BaseException as error:
        code = error.code if isinstance(error, SystemExit) else 1
        together = (0, None, 128 + signal.SIGTERM, 128 + signal.SIGINT)
        if jax.process_count() == 1 or code in together:
            raise
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def agreed(*wishes: bool) -> tuple[bool, ...]:
    """Returns, for each wish, whether any process has it; waits until all have called it."""
    return tuple(multihost_utils.process_allgather(np.array(wishes)).any(axis=0).tolist())


def same_everywhere(number: int) -> bool:
    """Tells whether all processes have the same number; waits until all have called it."""
    return np.unique(multihost_utils.process_allgather(np.array(number))).size == 1


def is_first() -> bool:
    """Tells whether this is the process that prints, and writes what all of them have alike."""
    return jax.process_index() == 0


def write_once(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all, that all processes have alike."""
    if is_first():
        write_text(path, text)
