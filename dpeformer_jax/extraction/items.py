"""One picture to extract, and what is known of it."""

import dataclasses
import datetime
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import Source
from dpeformer_jax.base.places import is_url
from dpeformer_jax.extraction.object_store import read_picture
from dpeformer_jax.loading import Named


class Box(NamedTuple):
    """A person in a frame of a video.

    frame: its number, from 0; x, y: left and top edge, w, h: width and height, in pixels; track:
    the tracker's number or name of the person, "" where there is none.
    """

    frame: int
    x: float
    y: float
    w: float
    h: float
    track: str = ""


@dataclasses.dataclass(frozen=True)
class Item:
    """A picture and what is known of it.

    path: its name, which no other picture of an extraction has: a file, s3://bucket/file, or, of a
        person in a video, VIDEO#frame=12&xywh=40,60,32,80.
    identity, camera: "" where they are not known; time: seconds since 1970, NaN where not known.
    box: of a person in a video, else None.
    cut: cuts the person out of the video; else None.
    """

    path: str
    identity: str = ""
    camera: str = ""
    time: float = math.nan
    box: Box | None = None
    cut: Callable[[], Source] | None = None

    def picture(self) -> str | Named:
        """Returns what an Extractor takes."""
        if self.cut is not None:
            return Named(self.path, self.cut())
        if is_url(self.path):
            return Named(self.path, partial(read_picture, self.path))
        return self.path


def seconds_of(text: str) -> float:
    """Reads a time: seconds since 1970, or ISO 8601 as 2026-11-27T08:30:00 (UTC where it says no
    other zone); "" is NaN.

    Raises:
        UserError: it is neither.
    """
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        pass
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            f"time {text!r} is neither seconds since 1970 nor a date as 2026-11-27T08:30:00"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()
