"""Two workdirs side by side: scores, intervals, differences query by query, and what is unlike."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy import ToyImages

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.retrieval.compare import compare
from dpeformer_jax.retrieval.comparison_text import as_text
from dpeformer_jax.retrieval.confidence import interval
from dpeformer_jax.retrieval.metrics import Ranking
from dpeformer_jax.retrieval.per_query import beside, rows_of, write_rows
from dpeformer_jax.retrieval.report import Evaluation, write_report
from dpeformer_jax.retrieval.scored_run import ScoredRun

QUERIES = ToyImages(identities=20)


def compared(first, second, differing=()):
    a = ScoredRun(first)
    return compare(a, ScoredRun(second, like=a), differing)


def ranking(seed, better=0.0):
    """Of queries of which the first has no match."""
    rng = np.random.default_rng(seed)
    precision = np.clip(rng.uniform(0, 0.9, len(QUERIES)) + better, 0, 1)
    first = np.where(precision > 0.5, 1, rng.integers(2, 9, len(QUERIES))).astype(float)
    precision[0] = first[0] = np.nan
    return Ranking(precision, precision, first)


def scored(workdir, rankings, queries=QUERIES, **changes):
    """Writes a workdir with the scores of {data set: {feature: ranking}}."""
    datasets = {
        name: {
            "fingerprint": f"{name} f00",
            **{feature: scores(of) for feature, of in features.items()},
            "queries_used": len(queries) - 1,
        }
        for name, features in rankings.items()
    }
    rows = [rows_of(n, f, queries, of, None) for n, x in rankings.items() for f, of in x.items()]
    heading = {"step": 1500, "settings": {"flip": False, "features": ["concat"]}} | changes
    workdir.mkdir(exist_ok=True)
    evaluation = Evaluation({**heading, "datasets": datasets}, pa.concat_tables(rows))
    write_report(workdir / "eval.json", evaluation)
    return workdir


def scores(of):
    return {"mAP": of.precision[of.used].mean(), "rank1": (of.first[of.used] == 1).mean()}


@pytest.fixture
def runs(tmp_path):
    """A, and a B that is a little better on each query: less than people differ."""
    return (
        scored(tmp_path / "a", {"toy": {"concat": ranking(0)}}),
        scored(tmp_path / "b", {"toy": {"concat": ranking(0, better=0.02)}}),
    )


def rewritten(workdir, data_set=None, **changes):
    """Changes the report of a workdir as one of other pictures or of an earlier version."""
    path = workdir / "eval.json"
    report = json.loads(path.read_text())
    (report if data_set is None else report["datasets"][data_set]).update(changes)
    path.write_text(json.dumps(report))


def test_scores_come_with_intervals_and_the_difference_of_each_query(runs):
    told = compared(*runs)["datasets"]["toy"]
    assert told["queries"] == {"A": 119, "B": 119}
    of_a, of_b = ranking(0), ranking(0, better=0.02)
    shown = QUERIES.identity_names[1:]
    for name, a, b in (
        ("mAP", of_a.precision[1:], of_b.precision[1:]),
        ("rank1", 1.0 * (of_a.first[1:] == 1), 1.0 * (of_b.first[1:] == 1)),
    ):
        found = told["features"]["concat"][name]
        assert found["A"] == {"score": pytest.approx(a.mean()), "interval": interval(a, shown)}
        assert found["B"] == {"score": pytest.approx(b.mean()), "interval": interval(b, shown)}
        assert found["B - A"]["score"] == pytest.approx((b - a).mean())
        assert found["B - A"]["interval"] == pytest.approx(interval(b - a, shown))
    measured = told["features"]["concat"]["mAP"]
    assert measured["B - A"]["interval"][0] > 0
    assert measured["A"]["interval"][1] > measured["B"]["interval"][0]


def test_queries_are_matched_by_their_path(runs, tmp_path):
    queries, order = ToyImages(identities=20), np.random.default_rng(0).permutation(len(QUERIES))
    queries.identities, queries.cameras = queries.identities[order], queries.cameras[order]
    queries.paths = [queries.paths[i] for i in order]
    shuffled = Ranking(*(x[order] for x in ranking(0, better=0.02)))
    other = scored(tmp_path / "other", {"toy": {"concat": shuffled}}, queries)
    expected, found = (
        compared(runs[0], run)["datasets"]["toy"]["features"]["concat"]["mAP"]["B - A"]
        for run in (runs[1], other)
    )
    assert found["interval"] == pytest.approx(expected["interval"])


def test_the_text_fits_a_terminal_and_marks_a_difference_that_excludes_0(runs):
    differing = [("config.views.occlusion", "roa", "erasing"), ("config.x", "y" * 70, [1] * 30)]
    text = as_text(compared(*runs, differing))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[:2] == [f"{side}  {run}, step 1,500" for side, run in zip("AB", runs, strict=True)]
    assert (
        "config.views.occlusion                  'roa'                         'erasing'" in lines
    )
    (line,) = [line for line in lines if line.startswith("concat")]
    assert "mAP" in line and line.endswith("] *") and "+2.0 [" in line
    same = as_text(compared(runs[0], runs[0]))
    assert "+0.0 [ +0.0,  +0.0]" in same and "] *" not in same
    assert "setting" not in same and "note" not in same
    assert "not the seed of training" in " ".join(lines[-2:])


def test_the_comparison_is_plain_json(runs):
    comparison = compared(*runs, [("config.optim.lr", 0.01, 0.02)])
    again = json.loads(json.dumps(comparison))
    assert again["settings"] == [{"name": "config.optim.lr", "A": 0.01, "B": 0.02}]
    assert as_text(again) == as_text(comparison)


def test_scores_of_different_pictures_have_no_difference(runs):
    rewritten(runs[1], "toy", fingerprint="other")
    comparison = compared(*runs)
    assert comparison["datasets"]["toy"]["features"]["concat"]["mAP"]["B - A"] is None
    assert any("different pictures of toy" in note for note in comparison["notes"])
    assert "] *" not in as_text(comparison)


def test_a_report_of_an_earlier_version_is_compared_without_intervals(runs):
    beside(runs[0] / "eval.json").unlink()
    rewritten(runs[0], settings={})
    comparison = compared(*runs)
    found = comparison["datasets"]["toy"]["features"]["concat"]["mAP"]
    assert found["A"]["interval"] is None and found["B"]["interval"] is not None
    assert found["B - A"] == {"score": pytest.approx(0.02, abs=1e-3), "interval": None}
    assert comparison["notes"] == [
        "A and B are scored differently: flip is not recorded in A and False in B",
        "A lacks the results of each query of toy, so there are no intervals; "
        f"score it: python main.py --mode=eval --workdir={runs[0]}",
    ]


def test_what_one_run_alone_has_is_named(tmp_path):
    first = scored(tmp_path / "a", {"toy": {"parts": ranking(0), "concat": ranking(0)}})
    second = scored(
        tmp_path / "b", {"toy": {"concat": ranking(1)}, "other": {"concat": ranking(1)}}
    )
    comparison = compared(first, second)
    assert list(comparison["datasets"]) == ["toy"]
    assert list(comparison["datasets"]["toy"]["features"]) == ["concat"]
    assert "only B is scored on other" in comparison["notes"]
    assert "only A has, on toy, the features parts" in comparison["notes"]


def test_other_evaluations_and_other_training_data_are_named(tmp_path):
    rankings = {"toy": {"concat": ranking(0)}}
    sets = {"toy": {"fingerprint": "0123456789"}}
    bank = "96 cut-outs drawn, fingerprint abcdefghij"
    runs = [
        scored(tmp_path / "a", rankings, trained_on={"datasets": sets, "occluders": bank}),
        scored(tmp_path / "b", rankings, settings={"flip": True}, trained_on={"datasets": sets}),
    ]
    assert compared(*runs)["notes"] == [
        "A and B are scored differently: flip is False in A and True in B",
        "A and B are trained on different data: A on toy (01234567), 96 cut-outs drawn (abcdefgh); "
        "B on toy (01234567)",
    ]
    moved = {"datasets": {"renamed": sets["toy"]}}
    scored(tmp_path / "c", rankings, settings={"flip": True}, trained_on=moved)
    assert compared(runs[1], tmp_path / "c")["notes"] == []


def test_the_same_pictures_are_compared_under_any_name(runs, tmp_path):
    renamed = scored(tmp_path / "c", {"moved": {"concat": ranking(0, better=0.02)}})
    rewritten(renamed, "moved", fingerprint="toy f00")
    # The rows beside the report are of the report as it was.
    path = beside(renamed / "eval.json")
    report = json.loads((renamed / "eval.json").read_text())
    write_rows(renamed / "eval.json", report, pq.read_table(path))
    assert compared(runs[0], renamed)["datasets"] == compared(*runs)["datasets"]


def test_a_scored_checkpoint_was_trained_elsewhere(runs, tmp_path):
    assert ScoredRun(runs[0]).trained_in == runs[0]
    rewritten(runs[0], checkpoint=str(tmp_path / "other/checkpoints/7"))
    assert ScoredRun(runs[0]).trained_in == tmp_path / "other"
    rewritten(runs[0], checkpoint=str(tmp_path / "converted"))
    assert ScoredRun(runs[0]).trained_in == tmp_path / "converted"


def test_settings_that_are_not_known_are_not_compared(runs):
    told = compared(*runs, None)
    assert told["settings"] == [] and told["notes"][0].startswith("the settings are not compared")


def test_converted_weights_have_no_step(runs):
    rewritten(runs[0], step=None)
    assert as_text(compared(*runs)).splitlines()[0] == f"A  {runs[0]}"


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_workdir_without_scores_is_refused_with_the_command_that_scores_it(runs, text):
    path = runs[1] / "eval.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=f"eval.json.*--mode=eval --workdir={runs[1]}"):
        compared(*runs)
