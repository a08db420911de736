"""Terminals that tests look at."""

import contextlib
import fcntl
import struct
import termios


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Gives a pseudo-terminal its size in characters."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def shown_on(terminal: int) -> str:
    """Returns what was written to the other end of a pseudo-terminal until that was closed."""
    with open(terminal, "rb", buffering=0) as file:
        pieces = []
        with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
            while piece := file.read(4096):
                pieces.append(piece)
    return b"".join(pieces).decode()
