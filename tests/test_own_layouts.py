"""reid_folder finds which of its three layouts a folder has, and reads it."""

import os

import layouts
import pytest

from data.builders.reid_folder import ReidFolder
from data.dataset_spec import DEFAULT_PATTERN, DatasetSpec
from data.opened_dataset import OpenedDataset
from dpeformer_jax.base.errors import UserError

CAMERA_ONLY = r"(?P<camera>\w+)-"
FROM_START = "Names must match a pattern from their start (it may open with .*)"


def fill(root, *names):
    """Empty files: only their names are read."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def people(root, names, suffix="png", persons=("anna", "ben", "0003", "4")):
    return fill(root, *(f"{person}/{name}.{suffix}" for person in persons for name in names))


def arranged(root, pattern=DEFAULT_PATTERN):
    return ReidFolder.arranged(DatasetSpec("reid_folder", "", str(root), pattern))


def labels_of(root, **options):
    """Identity and camera of each picture, as the folder has them."""
    splits, names, _, cameras, _ = arranged(root, **options)
    return {
        entry.name: (
            str(names.identities.get(entry.identity, entry.identity)),
            str(names.cameras.get(entry.camera, entry.camera)) if cameras else "",
        )
        for entries in splits.values()
        for entry in entries
    }


def error_of(root, **options):
    with pytest.raises(UserError) as error:
        arranged(root, **options)
    return str(error.value)


@pytest.mark.parametrize(
    ("names", "cameras"),
    [
        (("cam1_000", "cam2_000", "cam2_001"), ("1", "2", "2")),
        (("000_camera-1", "Camera-12.x", "a cam_3"), ("1", "12", "3")),
        (("c1", "x-C2-y", "x.c2"), ("1", "2", "2")),
        (("c1", "c2_cam4", "x.c1"), ("1", "4", "1")),
        (("C0001", "C0002", "C0003"), ("", "", "")),  # a counter
        (("C0001_cam1", "C0002_cam1", "C0003_cam2"), ("1", "1", "2")),
        (("7_c1s1", "8_c2s9", "-9_c3"), ("1", "2", "3")),  # by the default pattern
        (("scan1", "abc2", "c3x"), ("", "", "")),
        (("cam1", "cam2", "other"), ("", "", "")),
    ],
)
def test_people_in_folders_may_have_cameras_in_their_names(tmp_path, names, cameras):
    found = labels_of(people(tmp_path, names))
    assert {name: found[f"anna/{name}.png"] for name in names} == {
        name: ("anna", camera) for name, camera in zip(names, cameras, strict=True)
    }
    assert {identity for identity, _ in found.values()} == {"anna", "ben", "0003", "4"}


def test_one_name_without_a_camera_leaves_all_without_and_is_told(tmp_path, caplog):
    fill(people(tmp_path, ("cam1_0", "cam2_0")), "ben/IMG_7.png")
    assert not arranged(tmp_path).cameras
    assert f"1 of 9 names tell none, as {tmp_path / 'ben' / 'IMG_7.png'}" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "camera"),
    [(CAMERA_ONLY, "north"), (r"(?P<camera>\w+)-(?P<identity>\w+)", "north")],
)
def test_the_pattern_reads_the_camera_of_people_in_folders(tmp_path, pattern, camera):
    people(tmp_path, ("north-cam1", "south-cam2"))
    assert labels_of(tmp_path, pattern=pattern)["anna/north-cam1.png"] == ("anna", camera)


def test_a_pattern_without_a_camera_leaves_people_in_folders_without(tmp_path):
    people(tmp_path, ("north-cam1", "south-cam2"))
    assert not arranged(tmp_path, pattern=r"(?P<identity>\w+)-").cameras


def test_a_chosen_pattern_that_does_not_fit_is_an_error_that_names_the_file(tmp_path):
    fill(people(tmp_path, ("north-1", "south-1")), "ben/x.png")
    assert error_of(tmp_path, pattern=CAMERA_ONLY) == (
        f"{tmp_path / 'ben' / 'x.png'}: the name does not give camera by the pattern "
        rf"'(?P<camera>\w+)-'. {FROM_START}"
    )


def test_a_chosen_pattern_that_fits_within_a_name_is_told_where_to_begin_and_nothing_else(tmp_path):
    pattern = r"p(?P<identity>\d+)"
    fill(tmp_path, *(f"x-p{p}.png" for p in range(4)))
    assert error_of(tmp_path, pattern=pattern) == (
        f"{tmp_path / 'x-p0.png'}: the name does not give identity by the pattern "
        rf"'p(?P<identity>\d+)'. {FROM_START}"
    )
    found = fill(tmp_path, *(f"y-p{p}.png" for p in range(4)))
    assert labels_of(found, pattern=".*" + pattern)["y-p3.png"] == ("3", "")


def test_whole_numbers_as_folders_are_the_identities(tmp_path):
    people(tmp_path, ("c1_0", "c2_0"), persons=("0001", "2", "30", "004", "-1"))
    splits, names, *_ = arranged(tmp_path)
    assert not any(names)
    assert {e.identity for own in splits.values() for e in own} == {1, 2, 30, 4}


def test_two_folders_of_one_number_are_an_error_that_names_both(tmp_path):
    people(tmp_path, ("a", "b"), persons=("1", "2", "01", "anna"))
    error = error_of(tmp_path)
    assert f"{tmp_path / '01'} and {tmp_path / '1'} are both identity 1" in error


def test_a_name_that_is_not_utf8_is_an_error_that_shows_it(tmp_path):
    people(tmp_path, ("a", "b"), persons=("anna", os.fsdecode(b"caf\xe9")))
    error = error_of(tmp_path)
    assert r"caf\udce9/a.png" in error and "not UTF-8" in error and error.encode()


def test_pictures_of_one_camera_alone_are_divided_as_if_none_were_known(tmp_path):
    people(tmp_path, ("cam1_0", "cam1_1", "cam1_2"))
    found = arranged(tmp_path)
    assert found.only_camera == "1" and not found.cameras
    assert [len(own) for own in found.splits.values()] == [6, 2, 4]


def test_pictures_in_one_folder_are_read_by_their_names(tmp_path):
    fill(tmp_path, *(f"{p:04d}_c{c}_{n}.jpg" for p in range(5) for c in (1, 2) for n in (0, 1)))
    assert labels_of(tmp_path)["0003_c2_1.jpg"] == ("3", "2")
    fill(tmp_path, "-1_c1_0.jpg")
    assert "-1_c1_0.jpg" not in labels_of(tmp_path)


def test_named_groups_may_come_in_any_order_and_be_texts(tmp_path):
    fill(
        tmp_path,
        *(f"{c}-{p}-{n}.jpg" for p in "abcd" for c in ("in", "out", "up", "by") for n in "01"),
    )
    found = labels_of(tmp_path, pattern=r"(?P<camera>\w+)-(?P<identity>\w+)")
    assert found["out-b-1.jpg"] == ("b", "out")
    found = labels_of(tmp_path, pattern=r"\w+-(?P<identity>\w+)")
    assert found["out-b-1.jpg"] == ("b", "")
    found = labels_of(tmp_path, pattern=r"(\w+)-(\w+)")
    assert found["out-b-1.jpg"] == ("out", "b")


@pytest.mark.parametrize(
    "pattern",
    [r"(?P<person>\w)_(?P<camera>b)", "(?P<identity>a)(b)", "(?P<camera>a)", "(a)", "a"],
)
def test_other_groups_are_an_error_that_says_which_there_may_be(tmp_path, pattern):
    fill(tmp_path, "a.jpg")
    error = error_of(tmp_path, pattern=pattern)
    assert error.startswith(f"the pattern '{pattern}' (config.data.pattern, or ;pattern=")
    assert "(?P<identity>...)" in error and not any(mend in error for mend in LAYOUTS)


def test_the_layout_of_market_honours_named_groups(tmp_path):
    fill(tmp_path, "query/x-ann.jpg", "bounding_box_test/y-ann.jpg", "bounding_box_test/y-bo.jpg")
    splits, names, rule, cameras, _ = arranged(
        tmp_path, pattern=r"(?P<camera>\w)-(?P<identity>\w+)"
    )
    assert names == ({1: "ann", 2: "bo"}, {1: "x", 2: "y"}) and cameras and not rule
    assert [e[2:] for e in splits["gallery"]] == [(1, 2), (2, 2)]
    splits, *_ = arranged(tmp_path, pattern=r".-(?P<identity>\w+)")
    assert [e[2:] for split in splits.values() for e in split] == [(1, 0), (1, 1), (2, 1)]


def test_without_cameras_query_and_gallery_are_cameras_0_and_1(tmp_path):
    splits = arranged(people(tmp_path, ("a", "b", "c"))).splits
    assert {split: {e.camera for e in own} for split, own in splits.items()} == {
        "train": {0},
        "query": {0},
        "gallery": {1},
    }


def test_the_folder_may_be_renamed_and_its_people_may_be_links(tmp_path):
    here = people(tmp_path / "here", ("cam1_0", "cam1_1", "cam2_0"))
    there = tmp_path / "there"
    there.mkdir()
    for folder in here.iterdir():
        (there / folder.name).symlink_to(folder)
    for (split, own), others in zip(
        arranged(here).splits.items(), arranged(there).splits.values(), strict=True
    ):
        assert [entry[1:] for entry in own] == [entry[1:] for entry in others], split


LAYOUTS = ("folder of their own", "bounding_box_train", "reid_csv")
MENDS = (*LAYOUTS, "config.data.pattern")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), "holds no image"),
        (("readme.txt", ".thumbs/a/1.png"), "holds no image"),
        (("1_c1.png", "anna/1.png"), "is a mixture"),
        (("set/anna/1.png",), "set the folder to give?"),
        (("anna/1.png", "ben/cam1/1.png"), "ben/cam1/1.png lies one level too deep"),
        (("IMG_1.png", "IMG_2.png"), "the name does not give identity and camera"),
    ],
)
def test_a_folder_of_another_kind_is_an_error_that_says_what_can_be_done(tmp_path, names, told):
    error = error_of(fill(tmp_path, *names))
    assert told in error and all(mend in error for mend in MENDS)
    assert "data.table" not in error  # it refuses them too


def test_folders_of_cameras_in_those_of_people_are_told_to_be_flattened(tmp_path):
    persons = (f"person_{p}/cam{c}/000.jpg" for p in range(3) for c in (1, 2))
    error = error_of(fill(tmp_path, *persons))
    assert "the folder to give?" not in error
    lower = next(path for path in tmp_path.glob("*/*/*") if str(path) in error).parent
    assert f"rename the picture to {lower.parent / lower.name}_000.jpg;" in error


def test_folders_of_cameras_taken_for_people_are_named(tmp_path):
    error = error_of(fill(tmp_path, *(f"cam{c}/person_{p}.jpg" for c in (1, 2) for p in "abc")))
    assert "2 identities (cam1, cam2), of which 2 have two images or more, are too few" in error
    assert error.endswith(f"Each folder in {tmp_path} was taken for a person")


@pytest.mark.parametrize(
    "names", [("img/1.png", "img/2.png"), ("1.png", "img/2.png"), (), ("a.png", "b.png")]
)
def test_a_table_in_a_folder_that_cannot_be_used_is_named(tmp_path, names):
    error = error_of(fill(tmp_path, "my.csv", *names))
    assert error.endswith(
        f"{tmp_path} holds my.csv: to read a table, give config.data.builder=reid_csv and "
        f"config.data.root={tmp_path / 'my.csv'}"
    )


def test_a_file_in_place_of_the_folder_is_an_error_that_names_the_builder_of_tables(tmp_path):
    (tmp_path / "mine.csv").touch()
    assert "config.data.builder=reid_csv" in error_of(tmp_path / "mine.csv")
    error = error_of(tmp_path / "none")
    assert f"{tmp_path / 'none'} is not a folder: it does not exist; give its place by " in error
    assert "--config.data.root" in error and "config.json" in error


def test_junk_alone_is_an_error(tmp_path):
    assert "no picture except junk" in error_of(people(tmp_path, ("a", "b"), persons=("-1",)))


@pytest.fixture
def folder(tmp_path):
    """Real pictures of six people before two cameras whose names are texts."""
    names = (f"p{p}/{c}-{n}.bmp" for p in range(6) for c in ("north", "south") for n in (0, 1))
    return layouts.lay_out(tmp_path / "mine", " ".join(names))


def opened(root, data_dir):
    spec = DatasetSpec("reid_folder", "", str(root), CAMERA_ONLY)
    return OpenedDataset(spec, str(data_dir), allow_other_counts=False)


def test_the_copy_keeps_the_names_and_the_provenance_tells_split_and_cameras(folder, tmp_path):
    for _ in ("prepared", "opened again"):
        dataset = opened(folder, tmp_path / "data")
        assert dataset.names.identities == {n + 1: f"p{n}" for n in range(6)}
        assert dataset.provenance == {
            "fingerprint": dataset.fingerprint,
            "split": dataset.rule,
            "cameras": ["north", "south"],
        }
        assert f"mine: {dataset.rule}" in dataset.summary()
