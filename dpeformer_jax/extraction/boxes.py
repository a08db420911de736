"""Reads where people are in the frames of a video, as detectors and trackers write it."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.tables import read_table
from dpeformer_jax.extraction.items import Box

COLUMNS = ("frame", "x", "y", "w", "h")
MOT = ("frame", "track", "x", "y", "w", "h")
IGNORED = ("0", "0.0")  # the flag of a MOT row that is not to be considered


def read_boxes(path: Path) -> Iterator[Box]:
    """Yields the boxes of a file by frame. A file in another order is held in memory.

    A table's first line names the columns frame,x,y,w,h and, if there is one, track: frames are
    counted from 0, and x and y, the left and top edge, in pixels from 0. A file without such a line
    is in the format of MOTChallenge, frame,track,x,y,w,h,...: frames and pixels are counted from 1,
    a track of -1 is none, and rows whose seventh column is 0 are left out.

    Raises:
        UserError: the file cannot be read, or a row is no box.
    """
    ordered = all(one.frame <= other.frame for one, other in itertools.pairwise(_boxes(path)))
    yield from _boxes(path) if ordered else sorted(_boxes(path), key=lambda box: box.frame)


def count_boxes(path: Path) -> int:
    """Returns the number of boxes of a file; raises UserError as read_boxes does."""
    return sum(1 for _ in _boxes(path))


def _boxes(path: Path) -> Iterator[Box]:
    for line, first, cells in _rows(path):
        try:
            frame, x, y, w, h = (float(cells[name]) for name in COLUMNS)
            frame -= first
            box = Box(int(frame), x - first, y - first, w, h, cells["track"])
        except (ValueError, OverflowError) as error:
            raise UserError(f"{path}, line {line}: {error}; expected numbers") from error
        if box.frame != frame or not (frame >= 0 and w > 0 and h > 0):
            raise UserError(
                f"{path}, line {line}: frame {frame:g} with a box of {w:g} x {h:g} is none; frames "
                "are whole numbers, and a box has a width and a height"
            )
        yield box


def _rows(path: Path) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Yields the number of a line, from where it counts frames and pixels, and its cells."""
    if _has_header(path):
        for line, cells in read_table(path, COLUMNS, ("track",)):
            yield line, 0, cells
        return
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line, cells in enumerate(csv.reader(file), 1):
            if not cells:
                continue
            if len(cells) < len(MOT):
                raise UserError(
                    f"{path}, line {line}: {len(cells)} columns; MOTChallenge has at least "
                    f"{','.join(MOT)}"
                )
            found = dict(zip((*MOT, "considered"), map(str.strip, cells), strict=False))
            if found.get("considered") in IGNORED:
                continue
            yield line, 1, found | {"track": "" if found["track"] == "-1" else found["track"]}


def _has_header(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline().split(",")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not first:
        raise UserError(f"{path} is empty; expected a line frame,x,y,w,h and a box a line")
    return not first.replace(".", "", 1).lstrip("-").isdigit()
