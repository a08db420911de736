"""Several processes as one program, through JAX's own distributed runtime."""

import os
import sys
from typing import Any

import jax

from dpeformer_jax.errors import ConfigError


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
    try:
        jax.distributed.initialize(
            coordinator_address=fields.coordinator or None,
            num_processes=fields.processes or None,
            process_id=fields.process if fields.process >= 0 else None,
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


def is_first() -> bool:
    """Whether this is the process that prints and writes what all of them have alike."""
    return jax.process_index() == 0
