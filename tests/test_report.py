"""eval.json: one network, one set of settings, any number of data sets."""

import json

import pytest
from toy import toy_spec

from dpeformer_jax.retrieval.report import table, write_report

SCORES = {"mAP": 0.25, "mINP": 0.125, "rank1": 0.5, "rank5": 0.75, "rank10": 1.0, "rank20": 1.0}


def report(*names, **changes):
    heading = {"step": 3, "network": toy_spec().to_json(), "weights": "f00"}
    settings = {"flip": False, "rerank": None, "features": ["concat"]}
    scores = {"concat": SCORES, "queries_used": 24, "queries_skipped": 1}
    return heading | {"settings": settings} | changes | {"datasets": dict.fromkeys(names, scores)}


def stored(folder):
    """Every report in a folder, by file name."""
    return {path.name: json.loads(path.read_text()) for path in folder.iterdir()}


def test_the_table_and_the_file_say_the_same(tmp_path):
    write_report(tmp_path / "eval.json", report("toy"))
    assert stored(tmp_path) == {"eval.json": report("toy")}
    text = table(report("toy"))
    assert "toy                  concat                25.0    12.5    50.0" in text
    assert "24 queries used, 1 skipped" in text


def test_scores_on_other_data_sets_stand_beside_the_first_ones(tmp_path):
    for names in (["toy"], ["other"], ["toy"]):
        write_report(tmp_path / "eval.json", report(*names))
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
    write_report(tmp_path / "eval.json", first)
    write_report(tmp_path / "eval.json", second)
    found = stored(tmp_path)
    assert found.pop("eval.json") == second
    assert list(found.values()) == [first]
    again = report("third")
    write_report(tmp_path / "eval.json", again)
    found = stored(tmp_path)
    assert found.pop("eval.json") == {**first, "datasets": first["datasets"] | again["datasets"]}
    assert list(found.values()) == [second]


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_a_damaged_report_is_kept_aside_and_costs_no_scores(tmp_path, text):
    (tmp_path / "eval.json").write_text(text)
    write_report(tmp_path / "eval.json", report("toy"))
    assert json.loads((tmp_path / "eval.json").read_text()) == report("toy")
    (aside,) = tmp_path.glob("eval-*.json")
    assert aside.read_text() == text
