"""Answers SIGTERM and SIGINT: the training finishes its step, saves and leaves."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import NoReturn

LOG = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(SystemExit):
    """Leaves the process with 128 + the signal's number, as shells count: 143 or 130."""

    def __init__(self, signum: int, told: str):
        super().__init__(128 + signum)
        self.told = f"{signal.Signals(signum).name}: {told}"


class Interruption:
    """Within the context, the first signal asks to leave and a second one leaves at once.

    Within `steps_first()` the first signal waits until the training asks for it. Elsewhere stopping
    loses nothing, and the signal raises Interrupted where the program is. A thread handles the
    second signal and the time limit, since Python's handlers wait for a computation in C to return.
    Only the main thread can take signals; in another one this context does nothing.
    """

    def __init__(self, seconds: float = 27):  # to leave in; schedulers kill after 30
        self._seconds = seconds
        self._signal: int | None = None
        self._waits = False
        self._undo = contextlib.ExitStack()

    @property
    def wanted(self) -> bool:
        """Whether a signal came."""
        return self._signal is not None

    def leave(self, told: str) -> NoReturn:
        """Raises Interrupted with the message; SIGTERM stands for a signal to another process."""
        raise Interrupted(self._signal or signal.SIGTERM, told)

    @contextlib.contextmanager
    def steps_first(self) -> Iterator[None]:
        """Puts a signal off until `leave`, or until the end of the block."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self.wanted:
            self.leave("stopped; all steps are saved")

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
            self._undo.callback(theirs.close)  # ends the thread; the last to be undone
            self._undo.callback(signal.set_wakeup_fd, before)
            for signum in SIGNALS:
                self._undo.callback(signal.signal, signum, signal.signal(signum, self._take))
            threading.Thread(target=_watch, args=(ours, self._seconds), daemon=True).start()
        return self

    def __exit__(self, _, error: BaseException | None, __) -> None:
        """Removes the handlers and tells why the training ended."""
        self._undo.close()
        if isinstance(error, Interrupted):
            LOG.info(error.told)

    def _take(self, signum: int, _) -> None:
        if self._signal is None:
            self._signal = signum
            if not self._waits:
                self.leave("stopped; the same command goes on from the newest checkpoint")


def _watch(signals: socket.socket, seconds: float) -> None:
    """Reads the numbers of signals as they arrive, until the other end of the socket closes."""
    came: list[int] = []
    with signals:
        try:
            while received := signals.recv(64):
                came += [number for number in received if number in SIGNALS]
                if len(came) > 1:
                    _leave_at_once(came[0], "second signal")
                signals.settimeout(seconds if came else None)
        except TimeoutError:
            _leave_at_once(came[0], f"not done within {seconds} s")


def _leave_at_once(signum: int, why: str) -> None:
    told = f"{why}: left at once; the same command goes on from the newest whole checkpoint\n"
    os.write(2, told.encode())
    os._exit(128 + signum)
