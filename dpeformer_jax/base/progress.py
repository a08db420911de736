"""Shows how far long work is, with its rate and the time left."""

import logging
import os
import sys
import threading
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LOG = logging.getLogger(__name__)
SECONDS = 30  # between two lines where there is no terminal
LINE = "{desc}: {n_fmt} of {total_fmt} ({unit}), {rate_fmt}, {remaining} left"


class Bar(tqdm):
    """A bar of this project; `write` puts a line above its bars."""


# tqdm's own lock is one of processes, of which Python warns where a pool of workers is torn down.
Bar.set_lock(threading.RLock())


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    title: str,
    unit: str,
    total: int | None = None,
    start: int = 0,
) -> Bar:
    """Returns a bar on a terminal; elsewhere the log gets a line every half minute.

    Args:
        iterable: what the bar counts while it is iterated; None: call `update` of the bar.
        title: in front of the bar; "" shows nothing.
        unit: what is counted, in the singular.
        total: how many there are; None: the length of `iterable`, if it has one.
        start: how many are done already.
    """
    told = {"desc": title, "total": total, "unit": unit, "initial": start, "disable": not title}
    if on_terminal():
        return Bar(iterable, **told)
    lines = {"file": _LogLines(), "mininterval": SECONDS, "delay": SECONDS, "bar_format": LINE}
    return Bar(iterable, **told, **lines)


def on_terminal() -> bool:
    """Tells whether standard error is a terminal that a bar fits into.

    A terminal of 0 columns, as `script` makes where it has none itself, is none.
    """
    try:
        return os.isatty(sys.stderr.fileno()) and os.get_terminal_size(sys.stderr.fileno())[0] > 0
    except (OSError, ValueError, AttributeError):  # closed, or replaced by an object without a file
        return False


def as_rate(per_second: float) -> str:
    """Formats a rate with decimals where it is small: "128", "3.4", "0.25"."""
    return f"{per_second:.0f}" if per_second >= 10 else f"{per_second:.2g}"


class _LogLines:
    """A file whose lines go to the log."""

    def write(self, text: str) -> None:
        if line := text.strip():
            LOG.info(line)

    def flush(self) -> None:
        pass
