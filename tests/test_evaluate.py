"""From a network and a test set to scores."""

import json

import numpy as np
import plain_scores
import pyarrow.compute as pc
import pytest
from toy import ToyImages, toy_spec, toy_tests, toy_variables

from dpeformer_jax.base import interfaces
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.checksums import fingerprint, fingerprints
from dpeformer_jax.features import SELECTED, FeaturePass
from dpeformer_jax.model.families import build_network
from dpeformer_jax.retrieval.calibration import write_calibration
from dpeformer_jax.retrieval.evaluate import evaluate
from dpeformer_jax.retrieval.metrics import Ranking
from dpeformer_jax.retrieval.per_query import rows_of
from dpeformer_jax.retrieval.protocol import Labels
from dpeformer_jax.retrieval.scores_text import table
from dpeformer_jax.retrieval.scoring import Scoring
from dpeformer_jax.runtime.devices import data_mesh

FEW = {"k1": 5, "k2": 3}


def evaluated(spec, test_sets, rerank=None, flip=False, checkpoint=None, **scoring):
    features = FeaturePass(build_network(spec), data_mesh(), 8, flip=flip)
    how = Scoring(rerank=rerank, **scoring)
    return evaluate(features, toy_variables(spec), spec, test_sets, how, {}, checkpoint)


def scored(*arguments, **options):
    return evaluated(*arguments, **options).report


def test_a_set_scored_against_itself_from_other_cameras_is_perfect():
    query, gallery = ToyImages(), ToyImages()
    gallery.cameras = gallery.cameras + 5
    result = scored(toy_spec(), [interfaces.TestSet("toy", query, gallery)])["datasets"]["toy"]
    assert result["queries_used"] == 24 and result["queries_skipped"] == 0
    assert result["concat"]["rank1"] == 1.0


def test_reranked_scores_stand_beside_the_plain_ones():
    plain, both, only_original = (
        scored(toy_spec(), toy_tests(), rerank)
        for rerank in (None, {**FEW, "weight": 0.3}, {**FEW, "weight": 1})
    )
    settings = [report["settings"]["rerank"] for report in (plain, both)]
    assert settings == [None, {**FEW, "weight": 0.3}]
    plain, reranked, original = (r["datasets"]["toy"] for r in (plain, both, only_original))
    names = ("holistic", "parts", "concat")
    assert reranked.keys() == plain.keys() | {f"{name}_reranked" for name in names}
    assert all(reranked[name] == plain[name] for name in plain)
    assert any(reranked[f"{name}_reranked"] != plain[name] for name in names)
    for name in names:
        for score in ("mAP", "mINP", "rank1", "rank5", "rank10", "rank20"):
            assert original[f"{name}_reranked"][score] == pytest.approx(plain[name][score])
    assert f"concat_reranked {100 * reranked['concat_reranked']['mAP']:11.1f}" in table(both)


def test_cameras_are_known_by_name_and_not_by_their_number():
    """The same pictures under other names of data set or camera are never scored by accident."""
    spec = toy_spec(sie_rows=2, cameras=(("toy", 2), ("toy", 1)))
    (expected,) = scored(spec, toy_tests())["datasets"].values()
    swapped = toy_spec(sie_rows=2, cameras=(("toy", 1), ("toy", 2)))
    (other_way,) = scored(swapped, toy_tests())["datasets"].values()
    assert expected["holistic"] != other_way["holistic"]
    for names, told in (
        ((("market", 1), ("market", 2)), "market 1, market 2 are others"),
        ((("toy", 1), ("toy", 9)), "toy 9 are others"),
    ):
        query, gallery = ToyImages(seed=1), ToyImages(seed=2)
        query.camera_names = names
        with pytest.raises(UserError, match=f"toy 2, toy 1.*{told}.*config.model.sie"):
            scored(spec, [interfaces.TestSet("toy", query, gallery)])


def test_the_order_in_which_a_test_set_names_its_cameras_does_not_matter():
    spec = toy_spec(sie_rows=2, cameras=(("toy", 1), ("toy", 2)))
    (test,) = toy_tests()
    expected = scored(spec, [test])
    for images in (test.query, test.gallery):
        images.camera_names = (("toy", 9), *reversed(images.camera_names))
        images.camera_names = images.camera_names[1:]
        images.camera_rows = 1 - images.camera_rows
    assert scored(spec, [test]) == expected


@pytest.mark.parametrize("mixes", [False, True])
def test_scores_that_depend_on_the_batch_come_with_a_warning(caplog, mixes):
    spec = toy_spec(pooling="batch" if mixes else "image")
    settings = scored(spec, toy_tests())["settings"]
    assert ("depend on the others of its batch of 8" in caplog.text) == mixes
    assert settings.get("batch_size") == (8 if mixes else None)


def test_a_report_says_whose_scores_it_holds():
    spec = toy_spec()
    features = FeaturePass(build_network(spec), data_mesh(), 8)
    variables = toy_variables(spec)
    report = evaluate(features, variables, spec, toy_tests(), Scoring(), {"step": 7}).report
    assert report["step"] == 7 and report["network"] == spec.to_json()
    assert report["settings"] == {
        "flip": False,
        "rerank": None,
        "features": ["holistic", "parts", "concat"],
    }
    variables["params"]["backbone"]["cls_token"] = variables["params"]["backbone"]["cls_token"] + 1
    other = evaluate(features, variables, spec, toy_tests(), Scoring(), {"step": 7}).report
    assert other["weights"] != report["weights"]
    assert json.loads(json.dumps(report)) == report


def test_the_flip_test_is_recorded():
    flipped = scored(toy_spec(), toy_tests(), flip=True)
    assert flipped["settings"]["flip"] is True


def test_the_rows_of_the_queries_are_what_the_scores_are_means_of():
    (test,) = toy_tests()
    test.query.identities[:2] = 99  # in no gallery
    spec, query = toy_spec(), test.query
    report, rows = evaluated(spec, [test], {**FEW, "weight": 0.3})
    features = FeaturePass(build_network(spec), data_mesh(), 8)
    selected = features(toy_variables(spec), query, query.camera_rows, [SELECTED])[SELECTED]
    scores = report["datasets"]["toy"]
    assert (scores["queries_used"], scores["queries_skipped"]) == (22, 2)
    named = {name: told for name, told in scores.items() if isinstance(told, dict)}
    assert rows["feature"].unique().to_pylist() == list(named)
    for name, told in named.items():
        of = rows.filter(pc.field("feature") == name).to_pydict()
        assert of["query"] == query.paths and set(of["data_set"]) == {"toy"}
        assert of["identity"] == query.identity_names
        assert of["camera"] == list(map(str, query.cameras))
        assert of["precision"][:2] == of["first_match"][:2] == [None, None]
        assert told["mAP"] == pytest.approx(np.mean(of["precision"][2:]))
        assert told["rank5"] == np.mean(np.array(of["first_match"][2:]) <= 5)
        assert of["kept_patches"] == selected.sum(axis=1).tolist()


def test_a_network_that_chooses_no_patches_has_none_to_count():
    ranking = Ranking(*np.ones((3, 24)))
    assert rows_of("toy", "f", ToyImages(), ranking, None)["kept_patches"].null_count == 24


def calibrated(folder, spec, **settings):
    """Stores thresholds of the toy network that accept half and all of what there is."""
    weights = fingerprint(fingerprints(toy_variables(spec)))
    thresholds = [
        {"far": far, "distance": distance, "far_as_many": [0.0, 0.6], "tar_as_many": [0.0, 1.0]}
        for far, distance in ((0.5, 0.2), (1.0, 4.0))
    ]
    none = {"far": 1e-4, "distance": None, "far_as_many": None, "tar_as_many": None}
    features = {"concat": {"thresholds": [*thresholds, none]}}
    told = {"weights": weights, "settings": {"flip": False} | settings, "features": features}
    write_calibration(folder, told)


def test_a_test_set_is_measured_at_the_stored_thresholds(tmp_path):
    spec = toy_spec()
    calibrated(tmp_path, spec)
    report = evaluated(spec, toy_tests(), checkpoint=tmp_path).report
    toy = report["datasets"]["toy"]
    assert "at_thresholds" not in toy["holistic"]
    half, everything = toy["concat"]["at_thresholds"]
    assert (everything["far"], everything["tar"], everything["as_promised"]) == (1, 1, False)
    features = FeaturePass(build_network(spec), data_mesh(), 8)
    query, gallery = (
        features(toy_variables(spec), images, images.camera_rows, ["holistic", "parts"], "", True)
        for images in (toy_tests()[0].query, toy_tests()[0].gallery)
    )
    labels = [Labels(of.identities, of.cameras) for of in (toy_tests()[0].query,) * 2]
    matrix = plain_scores.mean_distances(query, gallery)
    genuine, impostors = plain_scores.genuine_and_impostors(matrix, *labels)
    assert half["far"] == pytest.approx(np.mean(impostors <= 0.2), abs=0.01)
    assert half["tar"] == np.mean(genuine <= 0.2)
    assert half["as_promised"] is (0 <= half["far"] <= 0.6)
    assert f"up to 0.200, for FAR 50 %: FAR {100 * half['far']:.2g} % (promised" in table(report)


@pytest.mark.parametrize(
    ("stored", "scoring"), [({"flip": True}, {}), ({}, {"metric": "euclidean"})]
)
def test_thresholds_of_other_settings_are_not_compared(tmp_path, caplog, stored, scoring):
    spec = toy_spec()
    calibrated(tmp_path, spec, **stored)
    report = evaluated(spec, toy_tests(), checkpoint=tmp_path, **scoring).report
    assert "at_thresholds" not in report["datasets"]["toy"]["concat"]
    assert "is of other settings" in caplog.text


def test_thresholds_of_other_weights_are_refused(tmp_path):
    calibrated(tmp_path, toy_spec(stride=8))
    with pytest.raises(UserError, match="is of the weights"):
        evaluated(toy_spec(), toy_tests(), checkpoint=tmp_path)


def test_settings_tell_what_is_not_usual():
    usual = {"flip": False, "rerank": None, "features": ["holistic", "parts", "concat"]}
    assert scored(toy_spec(), toy_tests())["settings"] == usual
    told = scored(toy_spec(), toy_tests(), camera_rule=False, expand=2, memory_mb=1)["settings"]
    assert told == usual | {"camera_rule": False, "expand": 2}


def test_raw_features_are_compared_as_they_are():
    """Which matters: the toy network's features have different lengths."""
    spec = toy_spec()
    (test,) = toy_tests()
    features = FeaturePass(build_network(spec), data_mesh(), 8)
    query, gallery = (
        features(toy_variables(spec), images, images.camera_rows, ["holistic"])["holistic"]
        for images in (test.query, test.gallery)
    )
    labels = [Labels(of.identities, of.cameras) for of in (test.query, test.gallery)]
    ranks = plain_scores.ranks_of_matches(plain_scores.distances(query, gallery), *labels)
    found = scored(spec, [test], metric="euclidean")["datasets"]["toy"]["holistic"]
    assert found["mAP"] == pytest.approx(plain_scores.scores(ranks)[0])
    assert scored(spec, [test])["datasets"]["toy"]["holistic"]["roc"] != found["roc"]
