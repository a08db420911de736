"""Boxes around people: how files tell them, and what is cut out."""

import numpy as np
import pytest

from dpeformer_jax.base.boxes import crop_boxes
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.extraction.boxes import read_boxes
from dpeformer_jax.extraction.items import Box

FRAME = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def test_a_box_is_cut_at_whole_pixels_and_at_the_frame():
    one, over, outside = crop_boxes(FRAME, [[2.4, 3.6, 9.5, 12], [-5, -5, 4, 40], [40, 3, 50, 9]])
    np.testing.assert_array_equal(one, FRAME[4:12, 2:10])
    np.testing.assert_array_equal(over, FRAME[:, :4])
    assert outside.size == 0 and crop_boxes(FRAME, []) == []


@pytest.mark.parametrize(
    ("frame", "boxes", "told"),
    [
        (FRAME.astype(float), [[0, 0, 1, 1]], "a frame must be a uint8 array"),
        (FRAME[..., 0], [[0, 0, 1, 1]], "a frame must be a uint8 array"),
        (FRAME, [[0, 0, 1]], r"shape \(1, 3\), expected \(N, 4\)"),
    ],
)
def test_other_forms_are_refused(frame, boxes, told):
    with pytest.raises(UserError, match=told):
        crop_boxes(frame, boxes)


def boxes_of(path, text):
    path.write_text(text)
    return list(read_boxes(path))


def test_a_table_counts_from_0_and_motchallenge_from_1(tmp_path):
    expected = [Box(0, 4, 5, 10.5, 20, "7"), Box(2, 0, 0, 3, 4, "")]
    table = "frame,x,y,w,h,track\n0,4,5,10.5,20,7\n2,0,0,3,4,\n"
    mot = "1,7,5,6,10.5,20,1,1,0.9\n3,-1,1,1,3,4,1,-1,-1\n3,9,1,1,3,4,0,-1,-1\n"
    assert boxes_of(tmp_path / "b.csv", table) == expected
    assert boxes_of(tmp_path / "gt.txt", mot) == expected
    assert boxes_of(tmp_path / "b.csv", "y,x,frame,h,w\n5,4,0,20,10.5\n")[0].track == ""


def test_boxes_come_by_frame_whatever_the_order_of_the_file(tmp_path):
    by_track = "1,7,1,1,3,4\n5,7,2,1,3,4\n1,8,3,1,3,4\n5,8,4,1,3,4\n"
    found = boxes_of(tmp_path / "gt.txt", by_track)
    assert [(box.frame, box.track) for box in found] == [(0, "7"), (0, "8"), (4, "7"), (4, "8")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("frame,x,y,w\n", "has no column h"),
        ("frame,x,y,w,h\n0,1,2,3,x\n", "line 2: could not convert"),
        ("frame,x,y,w,h\n0.5,1,2,3,4\n", "line 2: frame 0.5"),
        ("frame,x,y,w,h\n1,1,2,0,4\n", "line 2: frame 1 with a box of 0 x 4"),
        ("frame,x,y,w,h\nnan,1,2,3,4\n", "line 2: cannot convert float NaN"),
        ("0,1,2,3,4,5\n", "frame -1 with"),
        ("1,2,3\n", "line 1: 3 columns"),
    ],
)
def test_a_row_that_is_no_box_is_named(tmp_path, text, told):
    with pytest.raises(UserError, match=told):
        boxes_of(tmp_path / "boxes.csv", text)
