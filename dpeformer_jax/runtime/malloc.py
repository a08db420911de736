"""Tells how a large training on a CPU keeps the memory that each of its steps takes anew."""

import logging
from pathlib import Path

import jax

LOG = logging.getLogger(__name__)
LIBRARIES = Path("/proc/self/maps")  # what this process has loaded, on Linux
KEEPERS = ("jemalloc", "tcmalloc", "mimalloc")
LARGE = 768  # width of a backbone from which on a step takes a gigabyte


def advise_malloc(width: int) -> None:
    """Logs what to preload before a training on a CPU; says nothing where this would not help.

    XLA takes a step's memory in one block, which glibc's malloc returns to the system and faults in
    again. Nothing safe in the process changes this: told to keep memory, glibc's heap grows.

    width: of the backbone's tokens.
    """
    if width < LARGE or jax.default_backend() != "cpu" or not LIBRARIES.exists():
        return
    loaded = LIBRARIES.read_text()
    if "libc.so" not in loaded or any(name in loaded for name in KEEPERS):
        return
    LOG.info(
        "on a CPU a step of this size runs up to a fifth faster with jemalloc (Debian: "
        "libjemalloc2): start with LD_PRELOAD=libjemalloc.so.2 "
        "MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0"
    )
