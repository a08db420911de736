"""What bears on the scores without being a mistake is said at start and by verify_data."""

import json
from dataclasses import replace

import layouts
import pytest

from data.dataset import load_dataset
from data.pipeline import Sampling
from data.verify import as_text, verify
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import decode

REPEAT = "Their groups of a batch repeat images"
ONE = "are of one camera"
NONE = "no camera is known"
DIVIDED = (
    "all divided pictures are of one camera (1), so a picture that the query's own camera took"
)


def lay_out(folder, cameras, each, people=6):
    """Pictures of people in folders of their own."""
    names = (f"p{p}/{camera}_{n}.bmp" for p in range(people) for camera in cameras for n in each)
    return layouts.lay_out(folder / "mine", " ".join(names))


def warned(settings, caplog, images=4):
    """What both say, which is the same."""
    sampling = Sampling(2, images, seed=0)
    caplog.clear()
    load_dataset(settings, (), sampling)
    logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    report = verify(settings, (), sampling)
    assert sorted(report["warnings"]) == sorted(logged)
    assert not report["problems"] and json.dumps(report)
    text = as_text(report)
    assert all(f"\nwarning: {warning}\n" in text for warning in logged)
    assert text.endswith("no problem found, but see the warnings above" if logged else "found")
    return logged


@pytest.mark.parametrize(
    ("cameras", "each", "told"),
    [
        (("cam1", "cam2"), "0123", []),
        (("cam1", "cam2"), "0", [REPEAT]),
        (("a", "b"), "0123", [NONE]),
        (("x",), "01", [REPEAT, NONE]),
        (("cam1",), "0123", [DIVIDED]),
    ],
)
def test_warnings_of_people_in_folders(settings, tmp_path, caplog, cameras, each, told):
    logged = warned(replace(settings, root=str(lay_out(tmp_path, cameras, each))), caplog)
    assert [part in warning for part, warning in zip(told, logged, strict=True)] == [True] * len(
        told
    )


def test_without_cameras_none_is_counted_and_nobody_is_seen_by_one_alone(
    settings, tmp_path, caplog
):
    caplog.set_level("INFO", "data")
    chosen = replace(settings, root=str(lay_out(tmp_path, ("a", "b"), "01")))
    load_dataset(chosen, (), Sampling(2, 2, seed=0))
    assert "mine query: 3 identities, 3 images, no cameras\n" in caplog.text
    report = verify(chosen, (), Sampling(2, 2, seed=0))
    assert report["datasets"][0]["one_camera"] == {"train": [], "test": []}
    row = next(line for line in as_text(report).splitlines() if line.startswith("gallery "))
    assert row.split() == ["gallery", "-", "3", "-", "9", "-", "-"]


def test_training_images_of_one_camera_are_warned_of(settings, market, caplog, write_image):
    for path in (market / "bounding_box_train").glob("*_c3_*"):
        path.rename(path.with_name(path.name.replace("_c3_", "_c1_9")))
    (warning,) = warned(settings, caplog, images=2)
    assert warning.startswith(f"market: all 9 training images {ONE} (1);")
    (market / "bounding_box_train" / "5_c1_0.jpg").rename(
        market / "bounding_box_train" / "5_c4_0.jpg"
    )
    (market / "bounding_box_train" / "5_c1_91.jpg").rename(
        market / "bounding_box_train" / "5_c4_1.jpg"
    )
    (warning,) = warned(settings, caplog, images=2)
    assert "no training identity is seen by two cameras" in warning


def test_people_with_few_images_are_counted_and_named(settings, caplog):
    (warning,) = warned(settings, caplog)
    assert "2 of 3 training identities have fewer images than" in warning
    assert "images_per_identity = 4: 5, 11. " in warning


def test_people_of_whom_damage_leaves_one_image_are_left_out_and_named(settings, market, caplog):
    (market / "bounding_box_train" / "5_c1_0.jpg").write_bytes(b"")
    chosen = replace(settings, on_bad_image="skip")
    damage, few = warned(chosen, caplog)
    assert "one image of each of 1 training identities, which are left out: 5;" in damage
    assert "1 of 2 training identities" in few
    data = load_dataset(chosen, (), Sampling(2, 2, seed=0))
    assert data.num_classes == 2 and data.provenance["market"]["left_out_identities"] == [5]
    assert data.train.identities.tolist() == [11, 11, 11, 2, 2, 2, 2]
    for path, pixels in zip(data.train.paths, data.train.pixels, strict=True):
        assert (pixels == decode((market / path).read_bytes(), (32, 16))).all()


def test_people_with_one_image_without_damage_are_refused_as_ever(settings, market):
    (market / "bounding_box_train" / "2_c1_0.jpg").write_bytes(b"")
    (market / "bounding_box_train" / "5_c1_0.jpg").unlink()
    assert "fewer than two images: 5." in error_of(replace(settings, on_bad_image="skip"))


def test_damage_that_leaves_everyone_one_image_is_an_error_that_names_them(settings, tmp_path):
    root = lay_out(tmp_path, ("cam1", "cam2"), "0")
    for path in root.glob("*/cam1_0.bmp"):
        path.write_bytes(b"")
    pattern = r"(?P<camera>cam\d)"
    chosen = replace(settings, root=str(root), pattern=pattern, on_bad_image="skip")
    assert "3 training identities have fewer than two images" in error_of(chosen)


def csv(settings, tmp_path, *rows):
    for number in range(len(rows)):
        layouts.write_picture(tmp_path / "set" / f"{number}.bmp", str(number))
    lines = ["path,identity,camera,split", *(f"{n}.bmp,{row}" for n, row in enumerate(rows))]
    (tmp_path / "set" / "mine.csv").write_text("\n".join(lines))
    return replace(settings, builder="reid_csv", root=str(tmp_path / "set" / "mine.csv"))


TEST = ("zoe,north,query", "zoe,south,gallery")


def error_of(settings):
    with pytest.raises(UserError) as error:
        load_dataset(settings, (), Sampling(2, 2, seed=0))
    return str(error.value)


def test_errors_and_reports_say_the_names(settings, tmp_path):
    chosen = csv(settings, tmp_path, "anna,north,train", "ben,north,train", *TEST)
    assert "fewer than two images: anna, ben." in error_of(chosen)
    report = verify(chosen, (), Sampling(2, 2, seed=0))
    assert "fewer than two images: anna, ben." in report["problems"][0]
    (told,) = report["datasets"]
    assert told["one_camera"] == {"train": ["anna", "ben"], "test": []}
    assert told["cameras"] == ["north", "south"]
    assert "cameras: north, south" in as_text(report)


def test_errors_of_a_test_say_the_names(settings, tmp_path):
    people = [f"{who},north,train" for who in ("anna", "anna", "ben", "ben")]
    same = csv(settings, tmp_path, *people, "zoe,north,query", "zoe,north,gallery")
    assert "in the gallery (cameras north)" in error_of(same)
    other = csv(settings, tmp_path, *people, "zoe,north,query", "yul,south,gallery")
    assert "(identities zoe) shares no identity with the gallery (yul)" in error_of(other)


def test_errors_of_joined_sets_say_the_names_of_the_sets(settings, tmp_path):
    rows = ("anna,north,train", "ben,north,train", "ben,north,train", *TEST)
    joined = replace(settings, joined=(f"reid_csv={csv(settings, tmp_path, *rows).root}",))
    assert "fewer than two images: mine/anna." in error_of(joined)
