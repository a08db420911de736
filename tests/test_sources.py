"""The pictures that a command line names, and what is known of them."""

import math

import pytest

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.extraction.items import seconds_of
from dpeformer_jax.extraction.listing import Labels, Listing


@pytest.fixture
def folder(tmp_path, write_image):
    for name in ("b/2.jpg", "b/1.PNG", "a/x.jpg", "top.jpg", ".hidden/1.jpg", "a/._x.jpg"):
        write_image(tmp_path / "pictures" / name)
    (tmp_path / "pictures/a/notes.md").write_text("no picture")
    return tmp_path / "pictures"


def told(source, **labels):
    return [(item.path, item.identity, item.camera) for item in Listing([source], Labels(**labels))]


def test_a_folder_is_listed_in_a_fixed_order_without_hidden_files(folder):
    paths = [path for path, *_ in told(folder)]
    assert paths == [str(folder / name) for name in ("top.jpg", "a/x.jpg", "b/1.PNG", "b/2.jpg")]
    listing = Listing([folder, folder / "top.jpg"])
    assert listing.count() == 5 == len(list(listing))


def test_labels_come_from_options_folders_and_names(folder):
    assert told(folder / "a", identity="anna", camera="3")[0][1:] == ("anna", "3")
    assert [identity for _, identity, _ in told(folder / "b", folders=True)] == ["b", "b"]
    assert told(folder / "top.jpg", names="(?P<identity>t.)(?P<camera>p)")[0][1:] == ("to", "p")


def test_a_list_and_a_table_name_pictures_relative_to_themselves(folder):
    (folder / "list.txt").write_text("a/x.jpg\n\nb/2.jpg\n")
    assert [path for path, *_ in told(folder / "list.txt")] == [
        str(folder / name) for name in ("a/x.jpg", "b/2.jpg")
    ]
    table = "identity,path,time,camera\nanna,a/x.jpg,2026-11-27T00:00:10,\n,b/2.jpg,12.5,south\n"
    (folder / "table.csv").write_text(table)
    first, second = Listing([folder / "table.csv"], Labels(identity="someone", camera="north"))
    assert (first.identity, first.camera, first.time) == ("anna", "north", 1795737610)
    assert (second.identity, second.camera, second.time) == ("someone", "south", 12.5)


def test_times_are_seconds_or_dates():
    assert seconds_of("2026-11-27T01:00:00+01:00") == seconds_of("2026-11-27") == 1795737600
    assert math.isnan(seconds_of(""))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"time": "noon"}, "time 'noon' is neither"),
        ({"names": "("}, "no regular expression"),
        ({"names": "(a)"}, "must have some of the groups"),
        ({"names": "(?P<person>a)"}, "must have some of the groups"),
    ],
)
def test_labels_that_make_no_sense_are_refused_at_once(labels, words):
    with pytest.raises(UserError, match=words):
        Labels(**labels)


def test_sources_that_make_no_sense_are_refused_at_once(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("none", "does not exist"),
        ("notes.md", "is no source of pictures"),
        ("empty", "holds no picture"),
    ):
        with pytest.raises(UserError, match=words):
            Listing([tmp_path / name])


def test_what_is_wrong_within_a_source_is_named(folder):
    (folder / "t.csv").write_text("path,time\na/x.jpg,\nb/2.jpg,noon\n")
    with pytest.raises(UserError, match=r"t.csv, line 3: time 'noon'"):
        list(Listing([folder / "t.csv"]))
    with pytest.raises(UserError, match="top.jpg: its name does not open with"):
        list(Listing([folder], Labels(names=r"(?P<identity>\d+)")))
