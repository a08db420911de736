"""Cut-outs from pictures with alpha, from boxes and from drawing."""

import numpy as np
import pytest
from PIL import Image

from data.occluders.sources import Unusable, boxes, drawn, with_alpha
from dpeformer_jax.base.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
HEADER = "path,left,top,width,height\n"


def arrays(candidates):
    return [np.asarray(candidate()) for candidate in candidates]


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_pictures_with_alpha_are_cut_to_what_is_visible_in_any_depth(tmp_path):
    pixels = PIXELS.copy()
    pixels[..., 3] = 0
    pixels[5:12, 8:20, 3] = 200
    save(tmp_path / "b.png", pixels)
    save(tmp_path / "a" / "deep" / "c.PNG", pixels[:, ::-1])
    save(tmp_path / "a" / "d.tif", pixels)
    (tmp_path / "list.txt").touch()
    found = arrays(with_alpha(tmp_path))
    expected = pixels[5:12, 8:20]
    for cutout, wanted in zip(found, (expected, expected, expected[:, ::-1]), strict=True):
        np.testing.assert_array_equal(cutout, wanted)


def test_a_palette_with_a_transparent_colour_has_alpha(tmp_path):
    picture = Image.fromarray(np.pad(np.ones((4, 4), np.uint8), 3), "P")
    picture.putpalette([0, 0, 0, 250, 20, 20])
    picture.save(tmp_path / "a.png", transparency=0)
    (cutout,) = arrays(with_alpha(tmp_path))
    assert cutout.shape == (4, 4, 4) and (cutout == (250, 20, 20, 255)).all()


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [(PIXELS[..., :3], "without alpha"), (PIXELS * np.uint8([1, 1, 1, 0]), "transparent")],
)
def test_a_picture_that_is_all_opaque_or_transparent_is_dropped(tmp_path, pixels, reason):
    save(tmp_path / "a.png", pixels)
    with pytest.raises(Unusable) as caught:
        arrays(with_alpha(tmp_path))
    assert caught.value.reason == reason and "a.png" in str(caught.value)


def test_boxes_are_cut_from_their_pictures(tmp_path):
    save(tmp_path / "market" / "a.png", PIXELS)
    rows = "market/a.png,3,4,10,6\nmarket/a.png,0,0,30,20\n"
    (tmp_path / "boxes.csv").write_text("\ufeff" + HEADER + rows)  # as spreadsheets write it
    part, whole = arrays(boxes(tmp_path))
    np.testing.assert_array_equal(part[..., :3], PIXELS[4:10, 3:13, :3])
    np.testing.assert_array_equal(whole[..., :3], PIXELS[..., :3])
    assert (part[..., 3] == 255).all()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, ["boxes.csv", "path,left,top,width,height"]),
        ("", ["boxes.csv has no column path"]),
        ("path,left,top,w,h\n", ["boxes.csv has no column width, height"]),
        (f"{HEADER}a.png,1,2,3,\n", ["boxes.csv, line 2", "whole numbers"]),
        (f"{HEADER}a.png,1,2,3\n", ["boxes.csv, line 2", "whole numbers"]),
        (f"{HEADER}a.png,1,2,3.5,4\n", ["boxes.csv, line 2", "whole numbers"]),
        (f"{HEADER}a.png,1,2,0,4\n", ["boxes.csv, line 2", "0 x 4", "no area"]),
        (f"{HEADER}a.png,1,2,3,-4\n", ["boxes.csv, line 2", "3 x -4", "no area"]),
        (f"{HEADER}a.png,21,0,10,5\n", ["a.png", "(31, 5)", "30 x 20"]),
        (f"{HEADER}a.png,0,16,10,5\n", ["a.png", "(10, 21)", "30 x 20"]),
        (f"{HEADER}a.png,-1,0,10,5\n", ["a.png", "(-1, 0)", "30 x 20"]),
        (f"{HEADER}b.png,0,0,10,5\n", ["b.png is missing"]),
    ],
)
def test_a_table_that_cannot_be_meant_is_named_with_what_is_wrong(tmp_path, table, words):
    save(tmp_path / "a.png", PIXELS)
    if table is not None:
        (tmp_path / "boxes.csv").write_text(table)
    with pytest.raises(UserError) as caught:
        arrays(boxes(tmp_path))
    assert not isinstance(caught.value, Unusable)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_damaged_picture_is_dropped_by_name(tmp_path):
    (tmp_path / "a.png").write_text("not a picture")
    (tmp_path / "boxes.csv").write_text(f"{HEADER}a.png,0,0,1,1\n")
    for source in (boxes, with_alpha):
        with pytest.raises(Unusable, match="a.png") as caught:
            arrays(source(tmp_path))
        assert caught.value.reason == "damaged"


def test_shapes_are_drawn_from_the_seed_and_their_number():
    first, again, other = (list(drawn(3, seed)) for seed in (0, 0, 1))
    for a, b, c in zip(arrays(first), arrays(reversed(again))[::-1], arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape != c.shape or (a != c).any()


def test_a_box_is_cut_from_the_upright_picture_in_8_bit_rgb(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture lies on its left side
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(PIXELS[..., :3])))
    stored.save(tmp_path / "turned.png", exif=exif)
    Image.new("CMYK", (30, 20), (0, 255, 255, 0)).save(tmp_path / "print.tif")
    rows = "turned.png,3,4,10,6\nprint.tif,0,0,4,4\n"
    (tmp_path / "boxes.csv").write_text(HEADER + rows)
    turned, printed = arrays(boxes(tmp_path))
    np.testing.assert_array_equal(turned[..., :3], PIXELS[4:10, 3:13, :3])
    assert (printed == (255, 0, 0, 255)).all()
