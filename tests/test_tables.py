"""Tables and lists as people save them."""

import pytest

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.tables import read_list, read_table


def rows(path, text, **options):
    path.write_bytes(text.encode(**options))
    return list(read_table(path, ("path", "side")))


@pytest.mark.parametrize("head", ["path,side", "Path, Side ", "other,side,path", "\ufeffpath,side"])
def test_columns_are_known_by_name_in_any_case_and_order(tmp_path, head):
    order = [name.strip().lower() for name in head.lstrip("\ufeff").split(",")]
    line = ",".join({"path": "a.png", "side": " 3 "}.get(name, "x") for name in order)
    found = rows(tmp_path / "t.csv", f"{head}\r\n{line}\r\n,,\r\n\r\n")
    assert found == [(2, {"path": "a.png", "side": "3"})]


def test_an_optional_column_that_is_missing_has_empty_cells(tmp_path):
    (tmp_path / "t.csv").write_text("path,split\na,train\n,\n")
    found = list(read_table(tmp_path / "t.csv", ("path",), ("camera", "split")))
    assert found == [(2, {"path": "a", "camera": "", "split": "train"})]


def test_a_short_row_has_empty_cells(tmp_path):
    assert rows(tmp_path / "t.csv", "path,side\na\n") == [(2, {"path": "a", "side": ""})]


@pytest.mark.parametrize(
    ("text", "encoding", "words"),
    [
        ("path;side\na;3\n", "utf-8", ["no column path, side", "separate them by commas"]),
        ("path\tside\na\t3\n", "utf-8", ["separate them by commas"]),
        ("path,side\na,3\n", "utf-16", ["not UTF-8 text", "save it as CSV in UTF-8"]),
        ("path,width\n", "utf-8", ["no column side", "reads path,width"]),
        ("", "utf-8", ["reads nothing"]),
    ],
)
def test_a_table_that_cannot_be_read_says_what_to_do(tmp_path, text, encoding, words):
    with pytest.raises(UserError) as caught:
        rows(tmp_path / "t.csv", text, encoding=encoding)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="t.csv cannot be read as a table with the columns a,b"):
        list(read_table(tmp_path / "t.csv", ("a", "b")))


def test_a_list_is_its_lines_without_empty_ones(tmp_path):
    (tmp_path / "l.txt").write_bytes(b"a 1\r\n\r\n  b 2 \n")
    assert read_list(tmp_path / "l.txt") == ["a 1", "b 2"]
    (tmp_path / "l.txt").write_text("\n")
    with pytest.raises(UserError, match="l.txt is empty"):
        read_list(tmp_path / "l.txt")
