"""Any folder in Market-1501's layout is read by its file names, and its files are kept as is."""

import os

import pytest

from data.builder import prepare
from data.builders.reid_folder import ReidFolder
from data.dataset_spec import DatasetSpec, DataSettings
from data.listing import MARKET_FOLDERS as FOLDERS
from data.records import Records
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import decode

PATTERN = DataSettings().pattern


def scanned(root, *names, pattern=PATTERN):
    """What the names of a test split say; the files are empty, for only names are read."""
    for folder in ("query", "bounding_box_test"):
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).touch()
    splits = ReidFolder.scan(spec_of(root, pattern))
    assert list(splits) == ["query", "gallery"]
    entries = splits["query"]
    return [(entry.path.name, entry.identity, entry.camera) for entry in entries]


def spec_of(root, pattern=PATTERN):
    return DatasetSpec("reid_folder", root=str(root), pattern=pattern)


def name_of(root, pattern=PATTERN):
    """The name under which the folder is prepared."""
    return ReidFolder.configure(spec_of(root, pattern)).name


def test_a_name_gives_identity_and_camera(tmp_path):
    names = "0002_c1s1_000451_03.jpg", "17_c12.jpg", "1501_c6s3_000001_00.jpg.jpg"
    found = scanned(tmp_path, *names)
    assert [entry[1:] for entry in found] == [(2, 1), (1501, 6), (17, 12)]


def test_junk_is_dropped_and_a_distractor_kept(tmp_path):
    names = "-1_c1_0.jpg", "-1_c2_0.jpg", "0000_c1_0.jpg", "7_c2_0.jpg"
    assert [identity for _, identity, _ in scanned(tmp_path, *names)] == [0, 7]


@pytest.mark.parametrize("split", FOLDERS)
def test_splits_are_the_folders_of_market(market, split):
    folders = {entry.path.parent.name for entry in ReidFolder.scan(spec_of(market))[split]}
    assert folders == {FOLDERS[split]}


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "tif", "tiff", "bmp", "JPG", "Png"])
def test_a_suffix_counts_in_both_cases(tmp_path, suffix):
    assert scanned(tmp_path, f"3_c1.{suffix}") == [(f"3_c1.{suffix}", 3, 1)]


def test_files_of_other_kinds_are_ignored(tmp_path):
    names = "readme.txt", "Thumbs.db", ".DS_Store", "4_c1.npy", "jpg", "3_c1.jpg"
    assert scanned(tmp_path, *names) == [("3_c1.jpg", 3, 1)]


def test_entries_are_sorted_by_name(tmp_path):
    names = "9_c1.jpg", "0010_c1.jpg", "0002_c2.png", "0002_c1.jpg", "11_c1.bmp"
    assert [entry[0] for entry in scanned(tmp_path, *names)] == sorted(names)


def test_the_pattern_can_be_chosen(tmp_path):
    found = scanned(tmp_path, "person0003_at_05.jpg", pattern=r"person(\d+)_at_(\d+)")
    assert found == [("person0003_at_05.jpg", 3, 5)]


def test_a_parent_folder_that_looks_like_a_name_does_not_confuse(tmp_path):
    assert scanned(tmp_path / "99_c1_set", "3_c2.jpg") == [("3_c2.jpg", 3, 2)]


@pytest.mark.parametrize("name", ["x3_c1.jpg", "3.jpg", "3_c.jpg", "-_c1.jpg", "3-1_c1.jpg"])
def test_a_name_that_gives_no_numbers_is_an_error(tmp_path, name):
    with pytest.raises(UserError, match=name) as error:
        scanned(tmp_path, "2_c1.jpg", name)
    assert f"by the pattern '{PATTERN}'" in str(error.value)


@pytest.mark.parametrize("pattern", [r"(\d+", r"\d+_c\d+", r"(\d+)_c\d+", r"(\d)(\d)_c(\d)"])
def test_a_pattern_that_gives_no_two_groups_is_an_error(tmp_path, pattern):
    with pytest.raises(UserError) as error:
        scanned(tmp_path, "22_c1.jpg", pattern=pattern)
    assert f"the pattern '{pattern}' (config.data.pattern, or ;pattern=" in str(error.value)


@pytest.mark.parametrize("names", [(), ("-1_c1_0.jpg",), ("readme.txt",)])
def test_a_split_without_images_is_an_error(tmp_path, names):
    with pytest.raises(UserError) as error:
        scanned(tmp_path, *names)
    assert f"{tmp_path / 'query'} holds no image" in str(error.value)


@pytest.mark.parametrize("folder", ["query", "bounding_box_test"])
def test_a_missing_test_split_is_an_error(market, folder):
    (market / folder).rename(market / "elsewhere")
    with pytest.raises(UserError) as error:
        ReidFolder.scan(spec_of(market))
    assert f"{market / folder} is not a folder" in str(error.value)
    assert "config.data.root" in str(error.value)


def test_the_original_bytes_are_kept_in_every_format(market, tmp_path, write_image):
    for frame, suffix in enumerate(("png", "tif", "tiff", "bmp", "jpeg", "PNG")):
        write_image(market / "query" / f"30_c1_{frame}.{suffix}")
    config = ReidFolder.configure(spec_of(market))
    builder = prepare(ReidFolder, str(tmp_path), config=config)
    for split, images in {"train": 9, "query": 2 + 6, "gallery": 5}.items():
        records = Records(builder, split)
        assert len(records) == images
        for index, path in enumerate(records.paths):
            assert records.encoded(index) == (market / path).read_bytes()
            assert decode(records.encoded(index), (40, 20)).shape == (40, 20, 3)


def test_an_unchanged_folder_keeps_its_name(market, monkeypatch):
    name = name_of(market)
    assert name_of(market) == name
    monkeypatch.chdir(market.parent)
    assert name_of(market.name) == name


def change_size(file):
    status = file.stat()
    file.write_bytes(file.read_bytes() + b"\0")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def change_time(file):
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))


def add_another(file):
    file.with_name("98_c1_0.jpg").write_bytes(file.read_bytes())


def rename(file):
    file.rename(file.with_name("97_c1_0.jpg"))


@pytest.mark.parametrize("folder", FOLDERS.values())
@pytest.mark.parametrize("change", [change_size, change_time, add_another, rename])
def test_a_changed_file_gives_another_name(market, folder, change):
    name = name_of(market)
    change(next((market / folder).glob("2*")))
    assert name_of(market) != name


def test_a_pattern_that_reads_the_names_otherwise_gives_another_name(market):
    assert name_of(market, r"([-\d]+)_.(\d+)") == name_of(market)
    assert name_of(market, r"([-\d]+)_c\d+_(\d+)") != name_of(market)
