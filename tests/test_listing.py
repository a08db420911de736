"""What does not fit a layout is an error that says which file or folder, and what to do."""

import shutil

import layouts
import pytest

from data.builders.reid_folder import ReidFolder
from data.dataset_spec import DatasetSpec
from data.listing import check_camera, folder_in, images_in, images_of_people, number_at_start
from dpeformer_jax.base.errors import UserError


def files(folder, *names):
    """Empty files: only their names are read."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def told(function, *arguments):
    with pytest.raises(UserError) as error:
        function(*arguments)
    return str(error.value)


def configured(root):
    return ReidFolder.configure(
        DatasetSpec("reid_folder", root=str(root), pattern=r"([-\d]+)_c(\d+)")
    )


def test_pictures_are_listed_by_name_and_nothing_else_is(tmp_path):
    files(tmp_path, "b.jpg", "a.PNG", "Thumbs.db", ".DS_Store", "._b.jpg", "jpg", "deeper/c.jpg")
    assert [path.name for path in images_in(tmp_path)] == ["a.PNG", "b.jpg"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("1_c1.jpg", "1_c1.png"), ("1_c1.tif", "1_c1.TIF"), ("a_c1.jpg", "A_c1.jpg")],
)
def test_two_files_of_one_base_name_are_an_error_that_names_both(tmp_path, first, second):
    files(tmp_path, first, second)
    error = told(images_in, tmp_path)
    assert first in error and second in error and "have one base name" in error


def test_two_people_may_have_files_of_one_base_name(tmp_path):
    files(tmp_path, "001/1.jpg", "002/1.jpg", "002/Thumbs.db")
    names = [path.relative_to(tmp_path).as_posix() for path in images_of_people(tmp_path)]
    assert names == ["001/1.jpg", "002/1.jpg"]
    files(tmp_path, "002/1.png")
    assert "have one base name" in told(images_of_people, tmp_path)


@pytest.mark.parametrize("list_of", [images_in, images_of_people])
def test_an_empty_folder_is_an_error(tmp_path, list_of):
    files(tmp_path, "readme.txt")
    error = told(list_of, tmp_path)
    assert f"{tmp_path} holds no image" in error and error.endswith("empty")


def test_pictures_one_level_too_deep_are_an_error_that_says_so(tmp_path):
    files(tmp_path, "query/query/1_c1.jpg")
    error = told(images_in, tmp_path / "query")
    assert f"one level too deep, as {tmp_path / 'query' / 'query' / '1_c1.jpg'}" in error


def test_people_one_level_too_deep_or_too_high_are_an_error_that_says_so(tmp_path):
    files(tmp_path, "deep/deep/001/001_01.tif", "high/001_01.tif")
    deep, high = (told(images_of_people, tmp_path / name) for name in ("deep", "high"))
    assert f"one level too deep, as {tmp_path / 'deep' / 'deep' / '001' / '001_01.tif'}" in deep
    assert f"{tmp_path / 'high' / '001_01.tif'} lies one level too high" in high


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    error = told(folder_in, tmp_path, "query")
    assert f"{tmp_path / 'query'} is not a folder" in error
    assert "should hold query" in error


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path):
    files(tmp_path, "query")
    assert f"{tmp_path / 'query'} is not a folder" in told(folder_in, tmp_path, "query")


def test_links_to_files_and_folders_are_followed(tmp_path):
    root = layouts.reid_folder(tmp_path)
    expected = [entry[1:] for entry in configured(root).splits["query"]]
    (root / "query").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "20_c1_0.jpg").rename(tmp_path / "a file.jpg")
    (tmp_path / "elsewhere" / "20_c1_0.jpg").symlink_to(tmp_path / "a file.jpg")
    (root / "query").symlink_to(tmp_path / "elsewhere")
    assert [entry[1:] for entry in configured(root).splits["query"]] == expected


def test_a_file_that_is_a_link_to_itself_is_an_error_that_names_it(tmp_path):
    root = layouts.reid_folder(tmp_path)
    (root / "query" / "21_c1_0.jpg").symlink_to("21_c1_0.jpg")
    error = told(configured, root)
    assert f"{root / 'query' / '21_c1_0.jpg'} cannot be read" in error
    assert "symbolic link" in error


@pytest.mark.parametrize("target", ["query", "gone"])
def test_a_folder_that_is_a_link_to_itself_or_to_nothing_is_an_error(tmp_path, target):
    root = layouts.reid_folder(tmp_path)
    shutil.rmtree(root / "query")
    (root / "query").symlink_to(target)
    error = told(configured, root)
    assert f"{root / 'query'} is not a folder" in error and "symbolic link" in error


def test_a_root_that_is_a_link_to_itself_is_an_error(tmp_path):
    (tmp_path / "root").symlink_to("root")
    error = told(configured, tmp_path / "root")
    assert f"{tmp_path / 'root'}" in error and "symbolic link" in error


def test_a_link_back_into_the_folder_is_not_followed_for_ever(tmp_path):
    root = layouts.reid_folder(tmp_path)
    expected = configured(root).splits
    (root / "query" / "again").symlink_to(root)
    assert configured(root).splits == expected


@pytest.mark.parametrize(("name", "number"), [("001_01.tif", 1), ("7.jpg", 7), ("060_a_b.png", 60)])
def test_the_number_at_the_start_of_a_name_is_read(tmp_path, name, number):
    assert number_at_start(tmp_path / "9" / name) == number


@pytest.mark.parametrize("name", ["a_1.jpg", "_1.jpg", "-1_c1.jpg", "1a.jpg", "1²_1.jpg"])
def test_a_name_without_a_number_at_the_start_is_an_error(tmp_path, name):
    assert name in told(number_at_start, tmp_path / name)


def test_cameras_of_the_range_are_good():
    for camera in (1, 6):
        check_camera("a.jpg", camera, range(1, 7))
    for camera in (0, 7):
        assert f"a.jpg: camera {camera} is out of range; this data set has cameras 1 to 6" == told(
            check_camera, "a.jpg", camera, range(1, 7)
        )
