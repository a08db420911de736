"""JAX does not survive a fork: its threads are missing in the child, which would wait for them."""

import os

from dpeformer_jax.base.errors import UserError

_process: int | None = None  # the one that uses JAX, also as its forked children remember it


def refuse_fork() -> None:
    """Must be called before JAX is used.

    Raises:
        UserError: this is a forked child of a process that has called it.
    """
    global _process
    _process = _process or os.getpid()
    if _process != os.getpid():
        raise UserError(
            f"process {os.getpid()} is a fork of process {_process}, which uses JAX, and JAX would "
            "hang in it. Start workers by multiprocessing.get_context('spawn'); there load the "
            "Extractor, or send it to them: it can be pickled"
        )
