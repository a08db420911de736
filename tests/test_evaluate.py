"""From a network and a test set to scores."""

import json
from functools import partial

import numpy as np
import pytest
from toy import SIZE, ToyImages
from variables import random_variables

from dpeformer_jax.devices import data_mesh
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.model.vit import VARIANTS
from dpeformer_jax.retrieval.evaluate import FeatureExtractor, evaluate, table, write_report
from dpeformer_jax.retrieval.rerank import rerank


def network(batch_size, **changes):
    model = DPEFormer(VARIANTS["mu"], stride=16, num_classes=4, min_patches=4, **changes)
    variables = random_variables(model, np.zeros((1, *SIZE, 3)), np.zeros(1, np.int32))
    return FeatureExtractor(model, data_mesh(), batch_size), variables


def test_every_image_counts_once_whatever_the_batch():
    images = ToyImages()
    features = {}
    for batch_size in (8, 7, 40):
        extractor, variables = network(batch_size)
        features[batch_size] = extractor(variables, images, "test")
    for name in ("holistic", "parts", "concat"):
        assert len(features[8][name]) == len(images.identities)
        for batch_size in (7, 40):
            np.testing.assert_allclose(features[batch_size][name], features[8][name], atol=1e-5)


def test_features_have_length_1_and_concat_weighs_both_the_same():
    extractor, variables = network(8)
    features = extractor(variables, ToyImages(), "test")
    for value in features.values():
        np.testing.assert_allclose(np.linalg.norm(value, axis=1), 1, rtol=1e-5)
    both = np.concatenate([features["holistic"], features["parts"]], axis=1) / np.sqrt(2)
    np.testing.assert_allclose(features["concat"], both, rtol=1e-5)


def test_a_set_scored_against_itself_from_other_cameras_is_perfect():
    extractor, variables = network(8)
    query, gallery = ToyImages(), ToyImages()
    gallery.cameras = gallery.cameras + 5
    result = evaluate(extractor, variables, query, gallery)
    assert result["queries_used"] == 24 and result["queries_skipped"] == 0
    assert result["concat"]["rank1"] == 1.0


def test_reranked_scores_stand_beside_the_plain_ones():
    extractor, variables = network(8)
    query, gallery = ToyImages(seed=1), ToyImages(seed=2)
    scores = partial(evaluate, extractor, variables, query, gallery)
    plain, both = scores(), scores(partial(rerank, k1=5, k2=3))
    names = ("holistic", "parts", "concat")
    assert both.keys() == plain.keys() | {f"{name}_reranked" for name in names}
    assert all(both[name] == plain[name] for name in plain)
    assert any(both[f"{name}_reranked"] != plain[name] for name in names)
    only_original = scores(partial(rerank, k1=5, k2=3, weight=1))
    for name in names:
        assert only_original[f"{name}_reranked"] == pytest.approx(plain[name])
    row = f"concat_reranked {100 * both['concat_reranked']['mAP']:10.1f}"
    assert row in table({"datasets": {"toy": both}})


def test_a_camera_unknown_to_the_side_information_is_an_error():
    extractor, variables = network(8, sides=2)
    images = ToyImages()
    images.sides[3], images.cameras[3] = -1, 9
    with pytest.raises(ConfigError, match=r"query: cameras \[9\] .* config.model.sie"):
        evaluate(extractor, variables, images, ToyImages())


def test_the_table_and_the_file_say_the_same(tmp_path):
    extractor, variables = network(8)
    scores = evaluate(extractor, variables, ToyImages(seed=1), ToyImages(seed=2))
    report = {"step": 3, "datasets": {"toy": scores}}
    write_report(tmp_path / "eval.json", report)
    assert json.loads((tmp_path / "eval.json").read_text()) == report
    assert [p.name for p in tmp_path.iterdir()] == ["eval.json"]
    text = table(report)
    assert f"{100 * scores['concat']['mAP']:.1f}" in text and "24 queries used, 0 skipped" in text
