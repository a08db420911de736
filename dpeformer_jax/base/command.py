"""How every command of this project ends and logs."""

import contextlib
import errno
import logging
import signal
import sys
from collections.abc import Iterator

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.progress import Bar

LOGGERS = ("dpeformer_jax", "data", "configs")  # the rooms that log
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of a disk, a quota, a file


@contextlib.contextmanager
def one_paragraph(program: str) -> Iterator[None]:
    """Ends the process with one paragraph and exit code 2 where the user can mend what is wrong.

    Args:
        program: the name that the paragraph opens with.
    """
    try:
        yield
    except UserError as error:
        _stop(program, str(error))
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _stop(program, f"{error}; make room, then give the same command again")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def log_to_stderr() -> None:
    """Sends the project's log to standard error, so that standard output holds results alone."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = [_Lines()]


class _Lines(logging.Handler):
    """Writes plain lines above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        warns = "warning: " if record.levelno >= logging.WARNING else ""
        Bar.write(warns + record.getMessage(), file=sys.stderr)
        sys.stderr.flush()


def _stop(program: str, told: str) -> None:
    print(f"{program}: {told}", file=sys.stderr)
    sys.exit(2)
