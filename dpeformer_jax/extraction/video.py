"""People in the frames of a video, cut out at their boxes."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from dpeformer_jax.base.boxes import crop_boxes
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.image_files import is_image
from dpeformer_jax.base.pictures import PictureError, Source, open_picture, to_rgb
from dpeformer_jax.extraction.boxes import count_boxes, read_boxes
from dpeformer_jax.extraction.items import Item, seconds_of
from dpeformer_jax.extraction.listing import Labels


class VideoListing:
    """The people of a video in the order of its frames; a track is the name of an identity."""

    def __init__(self, video: Path, boxes: Path, labels: Labels | None = None):
        """Takes a video file, or a folder whose pictures, sorted by name, are its frames.

        boxes: see read_boxes; labels: camera and time of the video, and the identity of all boxes
        where it is not the track.

        Raises:
            UserError: there is no such video or file of boxes.
        """
        self._video, self._boxes = video.expanduser(), boxes.expanduser()
        self._labels = Labels() if labels is None else labels
        for path in (self._video, self._boxes):
            if not path.exists():
                raise UserError(f"{path} does not exist; --boxes is for a video and its boxes")

    def __iter__(self) -> Iterator[Item]:
        frames, told = Frames(self._video), self._labels
        for box in read_boxes(self._boxes):
            where = ",".join(f"{side:g}" for side in box[1:5])
            yield Item(
                f"{self._video}#frame={box.frame}&xywh={where}",
                told.identity or box.track,
                told.camera,
                seconds_of(told.time),
                box,
                partial(_cut, frames, box.frame, (box.x, box.y, box.x + box.w, box.y + box.h)),
            )

    def count(self) -> int:
        """Returns the number of boxes."""
        return count_boxes(self._boxes)


class Frames:
    """The frames of a video, one after the other: an earlier one cannot be had again."""

    def __init__(self, video: Path):
        self._video, self._number, self._frame = video, -1, None
        self._left = _pictures(video) if video.is_dir() else _decoded(video)

    def at(self, number: int) -> np.ndarray:
        """Returns the frame [h, w, 3] uint8 of a number, from 0, not lower than the last one.

        Raises:
            UserError: the video has no such frame, or cannot be decoded up to it.
        """
        while self._number < number:
            self._frame = next(self._left, None)
            if self._frame is None:
                raise UserError(
                    f"{self._video} has {self._number + 1} frames, and a box is in frame {number} "
                    "(counted from 0); are the boxes of another video?"
                )
            self._number += 1
        return self._frame() if callable(self._frame) else self._frame


def _cut(frames: Frames, number: int, box: tuple[float, float, float, float]) -> Source:
    (part,) = crop_boxes(frames.at(number), [box])
    return part


def _pictures(folder: Path) -> Iterator[partial[np.ndarray]]:
    """Yields what decodes each picture, so that frames without a box are not decoded."""
    files = sorted(path for path in folder.iterdir() if is_image(path))
    return iter([partial(_frame_of, path) for path in files])


def _frame_of(path: Path) -> np.ndarray:
    try:
        return np.asarray(to_rgb(open_picture(path)))
    except PictureError as error:
        raise UserError(f"{path} cannot be read as a frame: {error}") from error


def _decoded(video: Path) -> Iterator[np.ndarray]:
    try:
        import av
    except ModuleNotFoundError as error:
        raise UserError(
            f"{video}: videos need PyAV: pip install 'dpeformer_jax[video]'; a folder of frames "
            "needs nothing"
        ) from error
    try:
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError) as error:
        raise UserError(f"{video} cannot be read as a video: {error}") from error
