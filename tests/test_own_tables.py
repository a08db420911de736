"""reid_csv takes texts, usual names of splits, and tables without cameras or splits."""

import pytest

from data.builders.reid_csv import ReidCsv
from data.dataset_spec import DatasetSpec
from dpeformer_jax.base.errors import UserError


def table(folder, *rows, columns="path,identity,camera,split"):
    """A table, and an empty file for each row: only names are read."""
    for row in rows:
        (folder / row.split(",")[0]).touch()
    path = folder / "mine.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def arranged(path, **fields):
    return ReidCsv.arranged(DatasetSpec("reid_csv", root=str(path), **fields))


def listed(path, **fields):
    """(identity, camera) of each picture by split."""
    splits = arranged(path, **fields).splits
    return {split: [entry[2:] for entry in own] for split, own in splits.items()}


def error_of(path):
    with pytest.raises(UserError) as error:
        arranged(path)
    return str(error.value)


def people(count, cameras=("in", "out"), each=2):
    return [f"{p}{c}{n}.jpg,p{p},{c}" for p in range(count) for c in cameras for n in range(each)]


TEXTS = ("a.jpg,zoe,north,train", "b.jpg,7,north,query", "c.jpg,7,3,gallery", "d.jpg,-1,x,gallery")


def test_texts_are_numbered_over_all_splits_and_junk_counts_for_nothing(tmp_path):
    path = table(tmp_path, *TEXTS)
    assert listed(path) == {"train": [(2, 2)], "query": [(1, 2)], "gallery": [(1, 1)]}
    assert arranged(path).names == ({1: "7", 2: "zoe"}, {1: "3", 2: "north"})


@pytest.mark.parametrize("old, new", [("zoe", "zara"), ("north", "nord")])
def test_another_name_gives_another_copy_although_numbers_stay(tmp_path, old, new):
    path = table(tmp_path, *TEXTS)
    spec = DatasetSpec("reid_csv", root=str(path))
    before, numbers = ReidCsv.configure(spec).name, listed(path)
    path.write_text(path.read_text().replace(old, new))
    assert listed(path) == numbers
    assert ReidCsv.configure(spec).name != before


@pytest.mark.parametrize(
    ("train", "query", "gallery"),
    [("Training", "PROBE", "Gallery"), ("train", "queries", "test"), ("TRAIN", "Query", "Test")],
)
def test_splits_have_their_usual_names_in_any_case(tmp_path, train, query, gallery):
    path = table(tmp_path, f"a.jpg,1,1,{train}", f"b.jpg,2,1,{query}", f"c.jpg,2,2,{gallery}")
    assert listed(path) == {"train": [(1, 1)], "query": [(2, 1)], "gallery": [(2, 2)]}


def test_rows_of_test_without_queries_are_divided(tmp_path):
    rows = [f"{row},test" for row in people(3)] + ["t.jpg,zoe,in,train", "g.jpg,who,in,gallery"]
    splits = listed(table(tmp_path, *rows))
    assert [len(splits[split]) for split in ("train", "query", "gallery")] == [1, 6, 6 + 1]
    rule = arranged(tmp_path / "mine.csv").rule
    assert rule.startswith("split by identity with seed 0 (with cameras") and "train" not in rule


def test_without_splits_people_are_divided(tmp_path):
    path = table(tmp_path, *people(6), columns="path,identity,camera")
    found = arranged(path)
    assert [len(own) for own in found.splits.values()] == [12, 6, 6] and found.rule
    assert listed(path, split_seed=2) != listed(path)
    assert len(listed(path, test_share=0.34)["train"]) == 16


@pytest.mark.parametrize("columns", ["path,identity,split", "path,identity,split,camera"])
def test_without_cameras_query_and_gallery_are_cameras_0_and_1(tmp_path, columns):
    path = table(tmp_path, "a.jpg,1,train", "b.jpg,2,query", "c.jpg,2,gallery", columns=columns)
    assert listed(path) == {"train": [(1, 0)], "query": [(2, 0)], "gallery": [(2, 1)]}
    assert not arranged(path).cameras


def test_one_person_written_in_two_ways_is_one(tmp_path):
    path = table(tmp_path, "a.jpg,0017,1,train", "b.jpg,17,1,query", "c.jpg,17,2,gallery")
    assert "identity 17 is in train and in query" in error_of(path)


def test_an_error_says_the_name_of_the_person(tmp_path):
    path = table(tmp_path, "a.jpg,zoe,1,train", "b.jpg,zoe,1,query", "c.jpg,zoe,2,gallery")
    assert "identity zoe is in train and in query" in error_of(path)


def test_rows_of_test_of_one_camera_are_divided_as_if_none_were_known(tmp_path):
    rows = [f"{row},test" for row in people(3, cameras=("in",))] + ["t.jpg,zoe,out,train"]
    path = table(tmp_path, *rows)
    assert listed(path) == {
        "train": [(4, 0)],
        "query": [(1, 0), (2, 0), (3, 0)],
        "gallery": [(1, 1), (2, 1), (3, 1)],
    }
    assert arranged(path).only_camera == "in"


def test_one_picture_in_two_rows_is_an_error_however_its_path_is_spelt(tmp_path):
    (tmp_path / "deep" / "x").mkdir(parents=True)
    (tmp_path / "x").symlink_to("deep/x")
    path = table(tmp_path, "deep/a.jpg,1,1,train", "x/../a.jpg,2,1,query", "b.jpg,2,2,gallery")
    assert "line 3: x/../a.jpg is in line 2 too" in error_of(path)


def test_a_link_to_a_picture_is_a_picture_of_its_own_as_in_a_folder(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    path = table(tmp_path, "a.jpg,2,1,query", "b.jpg,2,2,gallery")
    assert listed(path) == {"query": [(2, 1)], "gallery": [(2, 2)]}


def test_an_unknown_split_is_an_error_that_lists_those_there_are(tmp_path):
    error = error_of(table(tmp_path, "a.jpg,1,1,val"))
    assert "line 2: split 'val' is not one of train, training, query" in error


def test_a_folder_in_place_of_a_table_is_an_error_that_names_its_tables(tmp_path):
    error = error_of(tmp_path)
    assert "is a folder" in error and "reid_folder" in error and "data.table" in error
    assert "it holds mine.csv" in error_of(table(tmp_path, *TEXTS).parent)


def test_a_table_that_does_not_exist_is_an_error_that_says_where_its_place_is_given(tmp_path):
    assert "mine.csv does not exist; give its place by" in error_of(tmp_path / "mine.csv")
