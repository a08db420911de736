"""eval.json: one network, one set of settings, any number of data sets."""

import json

import numpy as np
import pyarrow as pa
import pytest
from toy import ToyImages, toy_spec

from dpeformer_jax.retrieval import report as module
from dpeformer_jax.retrieval.metrics import Ranking
from dpeformer_jax.retrieval.per_query import beside, read_rows, rows_of
from dpeformer_jax.retrieval.report import Evaluation, write_report
from dpeformer_jax.retrieval.scores_text import table

SCORES = {"mAP": 0.25, "mINP": 0.125, "rank1": 0.5, "rank5": 0.75, "rank10": 1.0, "rank20": 1.0}


def report(*names, **changes):
    heading = {"step": 3, "network": toy_spec().to_json(), "weights": "f00"}
    settings = {"flip": False, "rerank": None, "features": ["concat"]}
    scores = {"concat": SCORES, "queries_used": 24, "queries_skipped": 1}
    return heading | {"settings": settings} | changes | {"datasets": dict.fromkeys(names, scores)}


def rows(*names, precision=0.25):
    ranking = Ranking(np.full(24, precision), np.ones(24), np.ones(24))
    return pa.concat_tables([rows_of(n, "concat", ToyImages(), ranking, None) for n in names])


def write(folder, *names, precision=0.25, **changes):
    """Writes a report of data sets with its rows, as evaluate() hands them over."""
    evaluation = Evaluation(report(*names, **changes), rows(*names, precision=precision))
    write_report(folder / "eval.json", evaluation)


def stored(folder):
    """Every report in a folder, by file name; each has the rows of its scores and no others."""
    reports = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    for name, told in reports.items():
        assert known_rows(folder / name) == set(told["datasets"])
    assert len(list(folder.iterdir())) == 2 * len(reports)
    return reports


def known_rows(path):
    """The data sets of which a report has its rows."""
    return set(read_rows(path, json.loads(path.read_text()))["data_set"].to_pylist())


def test_the_table_and_the_file_say_the_same(tmp_path):
    write(tmp_path, "toy")
    assert stored(tmp_path) == {"eval.json": report("toy")}
    text = table(report("toy"))
    assert "toy                  concat                 25.0     12.5     50.0" in text
    assert "24 queries used, 1 skipped" in text


def test_scores_on_other_data_sets_stand_beside_the_first_ones(tmp_path):
    for names in (["toy"], ["other"], ["toy"]):
        write(tmp_path, *names)
    assert stored(tmp_path) == {"eval.json": report("toy", "other")}


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": "f01"},
        {"step": 4},
        {"network": toy_spec(stride=8).to_json()},
        {"settings": {"flip": True, "rerank": None, "features": ["concat"]}},
        {"settings": {"flip": False, "rerank": {"k1": 9}, "features": ["concat"]}},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_scores_of_other_weights_or_settings_are_never_merged_and_never_lost(tmp_path, changes):
    first, second = report("toy"), report("other", **changes)
    write(tmp_path, "toy")
    write(tmp_path, "other", **changes)
    found = stored(tmp_path)
    assert found.pop("eval.json") == second
    assert list(found.values()) == [first]
    again = report("third")
    write(tmp_path, "third")
    found = stored(tmp_path)
    assert found.pop("eval.json") == {**first, "datasets": first["datasets"] | again["datasets"]}
    assert list(found.values()) == [second]


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_a_damaged_report_is_kept_aside_and_costs_no_scores(tmp_path, text):
    (tmp_path / "eval.json").write_text(text)
    write(tmp_path, "toy")
    assert json.loads((tmp_path / "eval.json").read_text()) == report("toy")
    (aside,) = tmp_path.glob("eval-*.json")
    assert aside.read_text() == text


def test_the_rows_come_back_as_they_were(tmp_path):
    write(tmp_path, "toy")
    write(tmp_path, "other", precision=0.5)
    found = read_rows(tmp_path / "eval.json", report("toy", "other"))
    written = pa.concat_tables([rows("other", precision=0.5), rows("toy")])
    assert found.equals(written)


@pytest.mark.parametrize(
    "other", [report("toy", weights="f01"), report("toy", step=4), report("other")]
)
def test_rows_of_another_report_are_not_read(tmp_path, other):
    write(tmp_path, "toy")
    (tmp_path / "eval.json").write_text(json.dumps(other))
    assert known_rows(tmp_path / "eval.json") == set()


def test_rows_of_other_scores_of_the_same_network_are_not_read(tmp_path):
    write(tmp_path, "toy", "other")
    changed = report("toy", "other")
    changed["datasets"]["toy"] = changed["datasets"]["toy"] | {"fingerprint": "other pictures"}
    (tmp_path / "eval.json").write_text(json.dumps(changed))
    assert known_rows(tmp_path / "eval.json") == {"other"}


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"PAR1"), lambda p: p.unlink()])
def test_a_report_without_its_rows_is_still_a_report(tmp_path, damage):
    write(tmp_path, "toy")
    damage(beside(tmp_path / "eval.json"))
    assert known_rows(tmp_path / "eval.json") == set()
    write(tmp_path, "other")
    assert json.loads((tmp_path / "eval.json").read_text()) == report("toy", "other")
    assert known_rows(tmp_path / "eval.json") == {"other"}
    write(tmp_path, "third", weights="f01")
    write(tmp_path, "toy")
    assert stored(tmp_path)["eval.json"] == report("toy", "other")


@pytest.mark.parametrize("failing", ["write_rows", "write_text"])
def test_a_full_disk_between_the_two_files_costs_nothing(tmp_path, monkeypatch, failing):
    write(tmp_path, "toy", "other")
    before = stored(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, failing, full)
        with pytest.raises(OSError, match="No space"):
            write(tmp_path, "third")
    assert stored(tmp_path) == before


def test_a_report_that_was_moved_aside_by_half_keeps_its_rows(tmp_path):
    """A power cut after the rows moved and before the report did."""
    write(tmp_path, "toy")
    write(tmp_path, "other", weights="f01")
    (aside,) = tmp_path.glob("eval-*.json")
    moved = aside.rename(tmp_path / "moved.json")
    (tmp_path / "eval.json").unlink()
    beside(tmp_path / "eval.json").unlink()
    moved.rename(tmp_path / "eval.json")
    write(tmp_path, "third", weights="f02")
    assert {name: set(told["datasets"]) for name, told in stored(tmp_path).items()} == {
        "eval.json": {"third"},
        aside.name: {"toy"},
    }
