"""Several processes as one program, through JAX's own distributed runtime."""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from dpeformer_jax.errors import ConfigError

BY_SIGNAL = (128 + signal.SIGTERM, 128 + signal.SIGINT)
HEARTBEAT = 20  # seconds after which the others know that a process is gone


def join_processes(fields: Any) -> None:
    """Connects this process with the others; only process 0 prints from then on.

    Must be called before anything is computed.

    Args:
        fields: `config.distributed`. Where coordinator, processes or process are not set, JAX
            finds them out of the environment: SLURM, Open MPI, Kubernetes, TPU pods.

    Raises:
        ConfigError: the processes do not find each other.
    """
    if not fields.enabled:
        return
    jax.config.update("jax_enable_preemption_service", False)  # SIGTERM is the training's
    try:
        jax.distributed.initialize(
            coordinator_address=fields.coordinator or None,
            num_processes=fields.processes or None,
            process_id=fields.process if fields.process >= 0 else None,
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"config.distributed.enabled = True, but the processes do not find each other: {error} "
            "Outside of SLURM, Open MPI, Kubernetes and TPU pods set "
            "config.distributed.coordinator (host:port of process 0), .processes and .process, "
            "the last one different in each"
        ) from error
    if not is_first():
        sys.stdout = open(os.devnull, "w")


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
    """A process that fails within the block ends at once, so that the others see it and end too.

    Otherwise it would wait for them at JAX's closing barrier, and they for it at the next step. A
    signal's exit codes mean that all of them leave, and the barrier is passed.
    """
    try:
        yield
    except BaseException as error:
        code = error.code if isinstance(error, SystemExit) else 1
        if jax.process_count() == 1 or code in (0, None, *BY_SIGNAL):
            raise
        if not isinstance(error, SystemExit):
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


def agreed(*wishes: bool) -> tuple[bool, ...]:
    """What any of the processes wishes, so that all of them do the same; asked in step.

    Without a wish it waits for all of them.
    """
    if jax.process_count() == 1:
        return wishes
    return tuple(multihost_utils.process_allgather(np.array(wishes)).any(axis=0).tolist())


def same_everywhere(number: int) -> bool:
    """Whether all processes have the same number; asked in step."""
    if jax.process_count() == 1:
        return True
    return np.unique(multihost_utils.process_allgather(np.array(number))).size == 1


def is_first() -> bool:
    """Whether this is the process that prints and writes what all of them have alike."""
    return jax.process_index() == 0
