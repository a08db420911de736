"""Orbax, which leaves the logging of the program around it as it was."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps absl from setting up the root logger, as its first message does where nobody has.

    A program that has set up its logging gets what orbax logs.
    """
    silent = logging.NullHandler()
    logging.root.addHandler(silent)
    try:
        yield
    finally:
        logging.root.removeHandler(silent)


with quiet():
    import orbax.checkpoint as ocp

__all__ = ["ocp", "quiet"]
