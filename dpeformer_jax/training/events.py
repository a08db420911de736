"""Writes TensorBoard's events in the caller's thread.

A full disk silently ends the thread of tensorboardX's own SummaryWriter, which then waits forever.
"""

import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import scalar

from dpeformer_jax.runtime.processes import is_first


class Events:
    """One file of scalars. A run that goes on after `step` makes later values void."""

    def __init__(self, workdir: Path, step: int):
        fraction = f".{time.time_ns() % 10**9:09}"  # files of one second differ, and sort by time
        self._writer = EventsWriter(str(workdir / "events"), fraction)
        # TensorBoard drops what it has read of this step and of later ones.
        self._write(step + 1, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars; raises OSError where the disk is full."""
        for name, value in values.items():
            self._write(step, summary=scalar(name, value))
        self._writer.flush()

    def add_pictures(self, step: int, pictures: Mapping[str, bytes]) -> None:
        """Writes pictures, PNG files by name; raises OSError where the disk is full."""
        for name, png in pictures.items():
            width, height = struct.unpack(">II", png[16:24])
            image = Summary.Image(
                width=width, height=height, colorspace=3, encoded_image_string=png
            )
            self._write(step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()

    def _write(self, step: int, **content) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, **content))


def write_scores(workdir: Path, report: Mapping[str, Any]) -> None:
    """Writes the scores of a report, the content of eval.json, at its step.

    Their names are scores/DATA SET/FEATURE/mAP and so on.
    """
    if not is_first():
        return
    events = Events(workdir, report["step"])
    events.add(report["step"], scores_of(report))
    events.close()


def scores_of(report: Mapping[str, Any]) -> dict[str, float]:
    """Returns the scores of a report by name: scores/DATA SET/FEATURE/mAP and so on."""
    return {
        f"scores/{data_set}/{feature}/{name}": value
        for data_set, told in report["datasets"].items()
        for feature, scores in told.items()
        if isinstance(scores, Mapping)
        for name, value in scores.items()
        if isinstance(value, int | float)
    }
