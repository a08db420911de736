"""The labels of a prepared split are read from its images once and cached in one whole file."""

import os

import pytest

from data.label_cache import Row, cached_rows

ROWS = [Row(1, 2, "query/é\n.jpg", "00ff"), Row(-1, 0, "gallery/2.jpg", "a0")]


def fail():
    raise AssertionError("the rows are there already")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "query.index.json"


def test_rows_are_made_once(path):
    assert cached_rows(path, [], lambda: iter(ROWS)) == ROWS
    assert cached_rows(path, [], fail) == ROWS
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("damaged", [b"", b"\xff", b'[[1, 2, "a"', b"[[1, 2]]", b"7"])
def test_a_damaged_file_is_made_anew(path, damaged):
    path.write_bytes(damaged)
    assert cached_rows(path, [], lambda: ROWS) == ROWS
    assert cached_rows(path, [], fail) == ROWS


def test_where_nothing_can_be_written_rows_are_made_every_time(tmp_path):
    (tmp_path / "file").touch()  # no folder, not even for root
    for _ in range(2):
        path = tmp_path / "file" / "query.index.json"
        assert cached_rows(path, [], lambda: iter(ROWS)) == ROWS
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_not_there_cannot_be_written(tmp_path):
    assert cached_rows(tmp_path / "none" / "query.index.json", [], lambda: ROWS) == ROWS


def test_nothing_counts_before_it_is_whole(path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cached_rows(path, [], lambda: ROWS)
    assert not list(path.parent.iterdir())


def test_rows_of_other_files_do_not_count(path, tmp_path):
    records = tmp_path / "records"
    records.write_bytes(b"old")
    assert cached_rows(path, [records], lambda: ROWS) == ROWS
    assert cached_rows(path, [records], fail) == ROWS
    records.write_bytes(b"newer")
    assert cached_rows(path, [records], lambda: ROWS[:1]) == ROWS[:1]
