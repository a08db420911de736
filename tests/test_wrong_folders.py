"""A folder that is not as its layout has it: what is wrong is said, or does no harm."""

import layouts
import pytest
from layouts import OF_FOLDERS, error_of, scan, spec_of

from data.catalog import BUILDERS, builder_of
from dpeformer_jax.base.errors import UserError


@pytest.mark.parametrize("title", OF_FOLDERS)
def test_a_root_one_level_too_high_or_too_deep_is_an_error_that_says_so(tmp_path, title):
    root = OF_FOLDERS[title](tmp_path / "sets")
    assert f"one level too high; give {root}" in error_of(title, root.parent)
    deeper = [folder for folder in root.iterdir() if folder.is_dir()]
    assert deeper
    for folder in deeper:
        assert f"one level too deep; give {root}" in error_of(title, folder)


@pytest.mark.parametrize("title", OF_FOLDERS)
def test_a_missing_folder_is_an_error_that_names_it(tmp_path, title):
    root = OF_FOLDERS[title](tmp_path)
    for entry in scan(title, root)["query"][:1]:
        folder = entry.path.relative_to(root).parents[-2]
        (root / folder).rename(root / "elsewhere")
        assert f"{root / folder} is not a folder" in error_of(title, root)


TRAINED_FROM = {
    "market1501": "bounding_box_train",
    "market1501/500k": "bounding_box_train",
    "dukemtmc_reid": "bounding_box_train",
    "occluded_duke": "bounding_box_train",
    "p_dukemtmc_reid": "train",
    "msmt17": "train",
    "msmt17/v2": "mask_train_v2",
    "cuhk03_np": "detected/bounding_box_train",
    "cuhk03_np/labeled": "labeled/bounding_box_train",
    "reid_folder": "bounding_box_train",
}


@pytest.mark.parametrize(("title", "folder"), TRAINED_FROM.items())
def test_without_the_training_folder_a_data_set_is_for_testing(tmp_path, title, folder):
    root = OF_FOLDERS[title](tmp_path)
    whole = scan(title, root)
    (root / folder).rename(tmp_path / "elsewhere")
    assert scan(title, root) == {split: whole[split] for split in ("query", "gallery")}
    spec = spec_of(title, root)
    assert builder_of(spec).training_folder(spec) == root / folder


@pytest.mark.parametrize(("title", "folder"), TRAINED_FROM.items())
def test_a_link_to_nothing_is_not_taken_for_a_missing_training_folder(tmp_path, title, folder):
    root = OF_FOLDERS[title](tmp_path)
    (root / folder).rename(tmp_path / "elsewhere")
    (root / folder).symlink_to("gone")
    assert f"{root / folder} is not a folder" in error_of(title, root)


@pytest.mark.parametrize("title", [title for title in OF_FOLDERS if title not in TRAINED_FROM])
def test_a_data_set_for_testing_alone_has_no_training_folder(tmp_path, title):
    spec = spec_of(title, tmp_path)
    assert builder_of(spec).training_folder(spec) is None


@pytest.mark.parametrize("title", OF_FOLDERS)
def test_a_folder_above_that_looks_like_a_file_name_says_nothing(tmp_path, title):
    here = OF_FOLDERS[title](tmp_path / "here")
    there = OF_FOLDERS[title](tmp_path / "0099_c1_there" / "-1_c3s1")
    for (split, entries), others in zip(
        scan(title, here).items(), scan(title, there).values(), strict=True
    ):
        assert [entry[1:] for entry in entries] == [entry[1:] for entry in others], split


@pytest.mark.parametrize("title", ["market1501", "dukemtmc_reid", "occluded_duke", "cuhk03_np"])
def test_a_camera_out_of_range_is_an_error_that_names_the_file(tmp_path, title):
    root = OF_FOLDERS[title](tmp_path)
    known = scan(title, root)["query"][0].path
    for camera in (0, 9):
        name = known.name[:6] + str(camera) + known.name[7:]
        path = known.rename(known.with_name(name))
        assert f"{path}: camera {camera} is out of range" in error_of(title, root)
        path.rename(known)


@pytest.mark.parametrize("title", ["market1501", "occluded_reid", "partial_ilids", "cuhk03_np"])
def test_a_name_without_an_identity_is_an_error_that_names_the_file(tmp_path, title):
    root = OF_FOLDERS[title](tmp_path)
    known = scan(title, root)["gallery"][0].path
    path = known.rename(known.with_name(f"copy of {known.name}"))
    assert str(path) in error_of(title, root)


@pytest.mark.parametrize("title", [title for title in OF_FOLDERS if not title.startswith("msmt17")])
def test_suffixes_in_upper_case_are_read(tmp_path, title):
    if title == "occluded_duke":
        root = layouts.occluded_duke(tmp_path)  # a list gives names as they are
    else:
        root = OF_FOLDERS[title](tmp_path)
    expected = {split: [e[2:] for e in entries] for split, entries in scan(title, root).items()}
    for entries in scan(title, root).values():
        for entry in entries:
            entry.path.rename(entry.path.with_suffix(entry.path.suffix.upper()))
    found = {split: [e[2:] for e in entries] for split, entries in scan(title, root).items()}
    assert found == expected


@pytest.mark.parametrize("name", BUILDERS)
def test_an_unknown_variant_is_an_error_that_names_the_builder(name, tmp_path):
    spec = spec_of(f"{name}/huge", tmp_path)
    with pytest.raises(UserError, match=f"{name} has no variant 'huge'; it has"):
        builder_of(spec).variant_of(spec)


@pytest.mark.parametrize("name", BUILDERS)
def test_published_counts_are_of_variants_that_there_are(name):
    assert set(BUILDERS[name].PUBLISHED) <= set(BUILDERS[name].VARIANTS)


@pytest.mark.parametrize("name", ["market1501", "occluded_reid", "msmt17", "reid_folder"])
def test_a_root_that_does_not_exist_is_an_error_that_says_where_it_is_given(tmp_path, name):
    error = error_of(name, tmp_path / "none")
    assert f"{tmp_path / 'none'}" in error and "does not exist; give its place by " in error
    assert "--config.data.root" in error and "config.json" in error


def test_no_root_is_an_error(tmp_path):
    assert "config.data.root is empty" in error_of("market1501", "")
