"""Each builder reads its data set as it really lies on disk, and says what does not fit."""

import layouts
import pytest
from layouts import error_of, scan, spec_of

from data.builders.msmt17 import MSMT17
from data.builders.p_dukemtmc_reid import PDukeMTMCReID
from data.catalog import BUILDERS
from data.opened_dataset import OpenedDataset


def built(title, root, folder=None):
    """Lines of "identity camera path" by split, of the prepared data set.

    Every picture must be its file in `folder`, byte for byte; None: in the root.
    """
    dataset = OpenedDataset(spec_of(title, root), str(root.parent / "prepared"), True)
    assert not dataset.skipped
    lines = {}
    for split, records in dataset.splits.items():
        for index, path in enumerate(records.paths):
            assert records.encoded(index) == ((folder or root) / path).read_bytes()
        rows = zip(records.identities, records.cameras, records.paths, strict=True)
        lines[split] = [f"{identity} {camera} {path}" for identity, camera, path in rows]
    return lines


MARKET1501 = {
    "train": [
        "2 1 bounding_box_train/0002_c1s1_000451_03.jpg",
        "2 6 bounding_box_train/0002_c6s4_001502_01.jpg",
        "1500 2 bounding_box_train/1500_c2s3_086542_01.jpg",
        "1500 6 bounding_box_train/1500_c6s3_086542_02.jpg",
    ],
    "query": [
        "1 1 query/0001_c1s1_001051_00.jpg",
        "1488 1 query/1488_c1s6_023021_00.jpg.jpg",
    ],
    "gallery": [
        "0 1 bounding_box_test/0000_c1s1_000151_01.jpg",
        "1 2 bounding_box_test/0001_c2s1_000301_01.jpg",
        "1488 3 bounding_box_test/1488_c3s3_024653_02.jpg",
    ],
}
OCCLUDED_DUKE = {
    "train": [
        "1 2 bounding_box_train/0001_c2_f0046182.jpg",
        "1 5 bounding_box_train/0001_c5_f0051341.jpg",
        "7140 4 bounding_box_train/7140_c4_f0175988.jpg",
    ],
    "query": ["19 1 query/0019_c1_f0051230.jpg", "19 1 query/0019_c1_f0051470.jpg"],
    "gallery": [
        "2 1 bounding_box_test/0002_c1_f0044158.jpg",
        "19 1 bounding_box_test/0019_c1_f0051230.jpg",
        "19 6 bounding_box_test/0019_c6_f0039590.jpg",
        "7139 2 bounding_box_test/7139_c2_f0156970.jpg",
    ],
}
MSMT17_TEST = {
    "query": [
        "0 0 test/0000/0000_003_01_0303morning_0006_0.jpg",
        "1 9 test/0001/0001_019_10_0303noon_0284_2_ex.jpg",
    ],
    "gallery": [
        "0 10 test/0000/0000_000_11_0302morning_0003_0.jpg",
        "1 2 test/0001/0001_004_03_0114afternoon_0012_1.jpg",
    ],
}
MSMT17_TRAIN = [
    "0 0 train/0000/0000_000_01_0303morning_0008_0.jpg",
    "0 4 train/0000/0000_001_05_0113morning_0015_0.jpg",
    "0 13 train/0000/0000_002_14_0303noon_0120_1.jpg",
    "1 1 train/0001/0001_000_02_0114noon_0284_2_ex.jpg",
    "1 14 train/0001/0001_001_15_0302afternoon_1213_1_ex.jpg",
]


def test_market1501_leaves_junk_out_and_keeps_distractors(tmp_path):
    assert built("market1501", layouts.market1501(tmp_path)) == MARKET1501


def test_market1501_does_without_the_500k_distractors_unless_asked(tmp_path):
    root = layouts.market1501_500k(tmp_path)
    assert built("market1501", root) == MARKET1501
    assert built("market1501/500k", root) == MARKET1501 | {
        "gallery": [
            *MARKET1501["gallery"],
            "0 1 images/0000_c1s1_000151_01.jpg",
            "0 4 images/0000_c4s2_110276_07.jpg",
        ]
    }


def test_a_person_among_the_500k_distractors_is_an_error(tmp_path):
    root = layouts.market1501_500k(tmp_path)
    layouts.lay_out(root, "images/-1_c1s1_000151_02.jpg")  # junk as everywhere
    scan("market1501/500k", root)
    layouts.lay_out(root, "images/0007_c1s1_000151_01.jpg")
    told = error_of("market1501/500k", root)
    assert "images/0007_c1s1_000151_01.jpg is among the distractors" in told


def test_dukemtmc_reid_has_eight_cameras_and_large_identities(tmp_path):
    assert built("dukemtmc_reid", layouts.dukemtmc_reid(tmp_path)) == {
        "train": [
            "1 2 bounding_box_train/0001_c2_f0046182.jpg",
            "1 5 bounding_box_train/0001_c5_f0051341.jpg",
            "7140 4 bounding_box_train/7140_c4_f0175988.jpg",
            "7140 8 bounding_box_train/7140_c8_f0176228.jpg",
        ],
        "query": ["19 1 query/0019_c1_f0051470.jpg", "7139 1 query/7139_c1_f0156490.jpg"],
        "gallery": [
            "2 1 bounding_box_test/0002_c1_f0044158.jpg",
            "19 1 bounding_box_test/0019_c1_f0051230.jpg",
            "19 6 bounding_box_test/0019_c6_f0039590.jpg",
            "7139 2 bounding_box_test/7139_c2_f0156970.jpg",
        ],
    }


def test_occluded_duke_keeps_a_query_that_stands_in_the_gallery_too(tmp_path):
    assert built("occluded_duke", layouts.occluded_duke(tmp_path)) == OCCLUDED_DUKE


@pytest.mark.parametrize("lists", ["", "Occluded_Duke"])
def test_occluded_duke_by_lists_is_the_same_data_set(tmp_path, lists):
    own = OpenedDataset(
        spec_of("occluded_duke", layouts.occluded_duke(tmp_path)), str(tmp_path / "own"), True
    )
    listed = OpenedDataset(
        spec_of("occluded_duke", layouts.occluded_duke_by_lists(tmp_path, lists)),
        str(tmp_path / "listed"),
        True,
    )
    for split, lines in OCCLUDED_DUKE.items():
        records = listed.splits[split]
        assert records.paths == [line.split()[2] for line in lines]
        assert records.identities.tolist() == [int(line.split()[0]) for line in lines]
        assert records.cameras.tolist() == [int(line.split()[1]) for line in lines]
    assert listed.fingerprint == own.fingerprint


def test_a_list_may_have_other_line_ends_blank_lines_and_folders(tmp_path):
    root = layouts.occluded_duke_by_lists(tmp_path)
    expected = scan("occluded_duke", root)
    names = layouts.OCCLUDED_DUKE["query"]
    (root / "query.list").write_bytes(f"query/{names[1]}\r\n\r\n{names[0]}".encode())
    assert scan("occluded_duke", root) == expected


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("query.list", "0019_c1_f9999999.jpg\n", "which is not in query or bounding_box_test"),
        ("gallery.list", "0019_c1_f0051470.jpg\n", "which is not in bounding_box_test of"),
        ("query.list", "0019_c1_f0051470.jpg\n" * 2, "names 0019_c1_f0051470.jpg twice"),
        ("train.list", "\n", "train.list is empty"),
    ],
)
def test_a_list_that_does_not_fit_the_folder_is_an_error(tmp_path, name, text, told):
    root = layouts.occluded_duke_by_lists(tmp_path)
    (root / name).write_text(text)
    assert told in error_of("occluded_duke", root)


@pytest.mark.parametrize("name", ["train.list", "query.list", "gallery.list"])
def test_a_list_that_is_missing_is_an_error(tmp_path, name):
    root = layouts.occluded_duke_by_lists(tmp_path)
    (root / name).unlink()
    assert f"{root / name} cannot be read" in error_of("occluded_duke", root)


def test_occluded_reid_is_occluded_against_whole(tmp_path):
    assert built("occluded_reid", layouts.occluded_reid(tmp_path)) == {
        "query": [
            "1 0 occluded_body_images/001/001_01.tif",
            "1 0 occluded_body_images/001/001_02.tif",
            "200 0 occluded_body_images/200/200_05.tif",
        ],
        "gallery": [
            "1 1 whole_body_images/001/001_01.tif",
            "200 1 whole_body_images/200/200_04.tif",
            "200 1 whole_body_images/200/200_05.tif",
        ],
    }


def test_partial_reid_has_two_sets_of_queries(tmp_path):
    root = layouts.partial_reid(tmp_path)
    gallery = ["1 1 whole_body_images/001_001.jpg", "60 1 whole_body_images/060_005.jpg"]
    partial = ["1 0 partial_body_images/001_001.jpg", "60 0 partial_body_images/060_005.jpg"]
    occluded = ["1 0 occluded_body_images/001_001.jpg", "60 0 occluded_body_images/060_002.jpg"]
    assert built("partial_reid", root) == {"query": partial, "gallery": gallery}
    assert built("partial_reid/occluded", root) == {"query": occluded, "gallery": gallery}


@pytest.mark.parametrize(
    ("probe", "gallery", "expected"),
    [
        (
            "1 2 119",
            "1 2 119",
            {
                "query": ["1 0 Probe/1.jpg", "119 0 Probe/119.jpg", "2 0 Probe/2.jpg"],
                "gallery": ["1 1 Gallery/1.jpg", "119 1 Gallery/119.jpg", "2 1 Gallery/2.jpg"],
            },
        ),
        (
            "001 002 119",
            "1_1 2_1 119_1",
            {
                "query": ["1 0 Probe/001.jpg", "2 0 Probe/002.jpg", "119 0 Probe/119.jpg"],
                "gallery": [
                    "119 1 Gallery/119_1.jpg",
                    "1 1 Gallery/1_1.jpg",
                    "2 1 Gallery/2_1.jpg",
                ],
            },
        ),
    ],
)
def test_partial_ilids_compares_numbers_however_they_are_written(
    tmp_path, probe, gallery, expected
):
    assert built("partial_ilids", layouts.partial_ilids(tmp_path, probe, gallery)) == expected


def test_p_dukemtmc_reid_trains_on_both_folders(tmp_path):
    assert built("p_dukemtmc_reid", layouts.p_dukemtmc_reid(tmp_path)) == {
        "train": [
            "1 0 train/occluded_body_images/1/1_1.jpg",
            "1 1 train/whole_body_images/1/1_1.jpg",
            "1 1 train/whole_body_images/1/1_2.jpg",
            "665 1 train/whole_body_images/665/665_1.jpg",
        ],
        "query": [
            "1 0 test/occluded_body_images/1/1_1.jpg",
            "634 0 test/occluded_body_images/634/634_3.jpg",
        ],
        "gallery": [
            "1 1 test/whole_body_images/1/1_1.jpg",
            "634 1 test/whole_body_images/634/634_1.jpg",
        ],
    }


@pytest.mark.parametrize("name", ["more", "1²"])
def test_a_folder_of_p_dukemtmc_reid_that_is_no_person_is_an_error(tmp_path, name):
    root = layouts.p_dukemtmc_reid(tmp_path)
    layouts.lay_out(root, f"test/whole_body_images/{name}/9_1.jpg")
    told = error_of("p_dukemtmc_reid", root)
    assert f"{root / 'test' / 'whole_body_images' / name}: the folder's name is not" in told


def test_msmt17_is_what_its_lists_say(tmp_path):
    root = layouts.msmt17(tmp_path)
    layouts.lay_out(root, "train/0002/0002_000_01_0303morning_0001_0.jpg")  # in no list
    assert built("msmt17", root) == {"train": MSMT17_TRAIN} | MSMT17_TEST


def test_the_camera_of_msmt17_is_not_read_from_folders(tmp_path):
    root = layouts.msmt17(tmp_path)
    layouts.replace_in(root / "list_query.txt", "0001/0001_019", "a_b_07/0001_019")
    layouts.lay_out(root, "test/a_b_07/0001_019_10_0303noon_0284_2_ex.jpg")
    assert [entry.camera for entry in scan("msmt17", root)["query"]] == [0, 9]


def test_msmt17_without_the_validation_list(tmp_path):
    root = layouts.msmt17(tmp_path)
    expected = [MSMT17_TRAIN[index] for index in (0, 2, 4)]
    assert built("msmt17/v1_without_val", root) == {"train": expected} | MSMT17_TEST


def test_msmt17_of_version_2_lies_in_other_folders(tmp_path):
    found = built("msmt17/v2", layouts.msmt17_v2(tmp_path))
    assert found["train"][1] == "0 4 mask_train_v2/0000/0000_001_05_0113morning_0015_0.jpg"
    assert found["query"][1] == "1 9 mask_test_v2/0001/0001_019_10_0303noon_0284_2_ex.jpg"
    assert [len(found[split]) for split in ("train", "query", "gallery")] == [5, 2, 2]


def test_the_versions_of_msmt17_are_not_taken_for_each_other(tmp_path):
    assert "mask_train_v2 is not a folder" in error_of("msmt17/v2", layouts.msmt17(tmp_path))
    assert "train is not a folder" in error_of("msmt17", layouts.msmt17_v2(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("_01_0303morning_0006_0.jpg 0", "_16_0303morning_0006_0.jpg 0", "camera 15 is out of"),
        ("_01_0303morning_0006_0.jpg 0", "_01_0303morning_0006_0.jpg", "and an identity"),
        ("0000_003_01_0303morning_0006_0.jpg 0", "x.jpg 0", "has the camera as third"),
        ("_01_0303morning_0006_0.jpg 0", "_01_0303morning_9999_0.jpg 0", "9999_0.jpg cannot be"),
        (
            "0001/0001_019_10_0303noon_0284_2_ex.jpg 1",
            "0000/0000_003_01_0303morning_0006_0.jpg 0",
            "is listed twice in list_query.txt",
        ),
    ],
)
def test_a_line_of_msmt17_that_does_not_fit_is_an_error(tmp_path, old, new, told):
    root = layouts.msmt17(tmp_path)
    layouts.replace_in(root / "list_query.txt", old, new)
    assert told in error_of("msmt17", root)


@pytest.mark.parametrize("name", ["list_train.txt", "list_val.txt", "list_query.txt"])
def test_a_missing_list_of_msmt17_is_an_error(tmp_path, name):
    root = layouts.msmt17(tmp_path)
    (root / name).unlink()
    assert f"{root / name} cannot be read" in error_of("msmt17", root)


def test_numbers_of_msmt17_and_p_dukemtmc_reid_say_nothing_across_splits():
    known = [name for name, builder in BUILDERS.items() if not builder.ONE_NUMBERING]
    assert known == [PDukeMTMCReID.name, MSMT17.name]


def test_cuhk03_np_has_boxes_of_a_detector_and_drawn_ones(tmp_path):
    root = layouts.cuhk03_np(tmp_path)
    detected = {
        "train": ["1 1 bounding_box_train/0001_c1_1.png", "1 2 bounding_box_train/0001_c2_6.png"],
        "query": ["3 1 query/0003_c1_22.png", "3 2 query/0003_c2_27.png"],
        "gallery": [
            "3 1 bounding_box_test/0003_c1_21.png",
            "1467 2 bounding_box_test/1467_c2_14668.png",
        ],
    }
    train = [*detected["train"], "1 2 bounding_box_train/0001_c2_7.png"]
    assert built("cuhk03_np", root, root / "detected") == detected
    assert built("cuhk03_np/labeled", root, root / "labeled") == detected | {"train": train}


def test_a_folder_of_ones_own_may_hold_pictures_of_every_kind(tmp_path):
    assert built("reid_folder", layouts.reid_folder(tmp_path)) == {
        "train": ["2 12 bounding_box_train/2_c12_0.PNG", "2 1 bounding_box_train/2_c1_0.jpg"],
        "query": ["20 1 query/20_c1_0.jpg"],
        "gallery": ["20 3 bounding_box_test/20_c3_0.Tif"],
    }


def test_a_table_is_read_row_by_row(tmp_path):
    table = layouts.reid_csv(tmp_path)
    assert built("reid_csv", table, table.parent) == {
        "train": ["17 0 a/x.jpg", "17 3 b/x.png"],
        "query": ["20 1 b/z.tif"],
        "gallery": ["20 2 c.bmp", "21 0 a/y.JPG"],
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("path,identity", "path,person", "has no column identity"),
        ("b/z.tif,20,1,query", "b/z.tif,17,1,query", "identity 17 is in train and in query"),
        ("a/y.JPG,21", "a/y.JPG,17", "identity 17 is in train and in gallery"),
        ("c.bmp,20,2", "c.bmp,20,", "line 5: camera is empty"),
        ("c.bmp,20,2", "c.bmp,,2", "line 5: identity is empty"),
        ("c.bmp,20,2,gallery", "c.bmp,20,2", "line 5: split is empty"),
        ("1,query", "1,valid", "split 'valid' is not one of train, training, query, queries, pro"),
        ("b/x.png", "b/y.png", "line 3: path 'b/y.png' is not a file in"),
        ("b/x.png", "a/x.jpg", "line 3: a/x.jpg is in line 2 too"),
        ("1,query", "1,gallery", "has only one of query and gallery"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(tmp_path, old, new, told):
    table = layouts.reid_csv(tmp_path)
    layouts.replace_in(table, old, new)
    error = error_of("reid_csv", table)
    assert told in error and str(table) in error


@pytest.mark.parametrize("content", [b"", b"path,identity,camera,split\n", b"\xff\xfe\x00a"])
def test_a_file_that_is_no_table_is_an_error(tmp_path, content):
    table = tmp_path / "mine.csv"
    table.write_bytes(content)
    assert str(table) in error_of("reid_csv", table)
