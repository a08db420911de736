"""Writes TensorBoard's events in the caller's thread.

A full disk silently ends the thread of tensorboardX's own SummaryWriter, which then waits forever.
"""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import scalar

from dpeformer_jax.runtime.processes import is_first
from dpeformer_jax.training.watching import scores_of


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

    def add_pictures(self, step: int, pictures: Mapping[str, Image.Image]) -> None:
        """Writes pictures by name, as JPEG; raises OSError where the disk is full."""
        for name, picture in pictures.items():
            file = io.BytesIO()
            picture.convert("RGB").save(file, "JPEG", quality=85)
            width, height = picture.size
            size = {"width": width, "height": height, "colorspace": 3}
            image = Summary.Image(encoded_image_string=file.getvalue(), **size)
            self._write(step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()

    def _write(self, step: int, **content) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, **content))


def write_scores(workdir: Path, report: Mapping[str, Any]) -> None:
    """Writes the scores of a report, the content of eval.json, at its step."""
    if not is_first():
        return
    events = Events(workdir, report["step"])
    events.add(report["step"], scores_of(report))
    events.close()
