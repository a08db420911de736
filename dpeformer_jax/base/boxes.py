"""Cuts people out of frames."""

from collections.abc import Sequence

import numpy as np

from dpeformer_jax.base.errors import UserError


def crop_boxes(
    frame: np.ndarray, boxes: np.ndarray | Sequence[Sequence[float]]
) -> list[np.ndarray]:
    """Returns the parts [h, w, 3] of a frame that lie in boxes, without a copy.

    Args:
        frame: [H, W, 3] uint8.
        boxes: [N, 4] left, top, right, bottom in pixels; edges are rounded to whole pixels. What
            lies outside of the frame is cut off, so that a part may hold no pixel.

    Raises:
        UserError: the frame or the boxes have another form.
    """
    if getattr(frame, "dtype", None) != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise UserError("a frame must be a uint8 array [height, width, 3]")
    edges = np.asarray(boxes, np.float64)
    if not edges.size:
        return []
    if edges.ndim != 2 or edges.shape[1] != 4:
        raise UserError(
            f"boxes have shape {edges.shape}, expected (N, 4): left, top, right, bottom in pixels"
        )
    height, width = frame.shape[:2]
    inside = np.clip(np.nan_to_num(edges.round()), 0, [width, height, width, height]).astype(int)
    return [frame[top:bottom, left:right] for left, top, right, bottom in inside]
