"""history.jsonl: when, how and on what a training ran."""

import pytest

from dpeformer_jax.training.history import NAME, read_history, recorded


def test_each_start_is_told_with_its_end(tmp_path):
    with recorded(tmp_path):
        (begun,) = read_history(tmp_path)
    _, ended = read_history(tmp_path)
    assert begun["command"].startswith("python ") and "cpu" in begun["machine"]
    assert begun["versions"].keys() >= {"python", "jax", "dpeformer_jax"}
    assert 0 <= ended["seconds"] < 60 and ended["ended"] >= begun["began"]


def test_an_end_with_an_error_is_an_end(tmp_path):
    with pytest.raises(ZeroDivisionError), recorded(tmp_path):
        raise ZeroDivisionError
    assert [*read_history(tmp_path)[-1]] == ["ended", "seconds"]


def test_half_a_line_and_no_file_are_nothing(tmp_path):
    assert read_history(tmp_path) == []
    (tmp_path / NAME).write_text('{"began": 1}\n{"ended": ')
    assert read_history(tmp_path) == [{"began": 1}]


def test_no_training_ends_for_want_of_it(tmp_path):
    with recorded(tmp_path / "nowhere"):
        pass
    assert not (tmp_path / "nowhere").exists()
