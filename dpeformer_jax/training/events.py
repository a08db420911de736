"""Writes TensorBoard's events in the caller's thread.

A full disk silently ends the thread of tensorboardX's own SummaryWriter, which then waits forever.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar


class Events:
    """One file of scalars. A resumed run goes on at `step`, which makes later values void."""

    def __init__(self, workdir: Path, step: int):
        self._writer = EventsWriter(str(workdir / "events"))
        self._write(step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars; raises OSError where the disk is full."""
        for name, value in values.items():
            self._write(step, summary=scalar(name, value))
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()

    def _write(self, step: int, **content) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, **content))
