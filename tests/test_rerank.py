"""k-reciprocal re-ranking against the released program, its definition and what must not matter."""

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from many_devices import environment_with

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.features import unit_length
from dpeformer_jax.retrieval import rerank as module
from dpeformer_jax.retrieval import running_top_k
from dpeformer_jax.retrieval.given_distances import rank_given
from dpeformer_jax.retrieval.metrics import Scores
from dpeformer_jax.retrieval.protocol import Labels, matches
from dpeformer_jax.retrieval.rerank import PRESETS, rerank, rerank_rows
from tests.parity.released import golden

ROOT = Path(__file__).parents[1]


def crowd(images=40, identities=5, seed=0):
    """Features [images, 8] around one centre an identity, as 10 queries and the gallery."""
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((identities, 8))
    features = centres[np.arange(images) % identities] + rng.standard_normal((images, 8))
    return np.split(features.astype(np.float32), [10])


def grid():
    """Features of small whole numbers: many equal distances, many copies."""
    return np.split(np.random.default_rng(0).integers(0, 3, (60, 3)).astype(np.float32), [10])


def by_definition(query, gallery, k1, k2, weight):
    """The paper's formulas, image by image."""
    features = np.concatenate([query, gallery]).astype(float)
    distances = np.square(features[:, None] - features).sum(axis=2)
    order = np.argsort(distances - np.eye(len(features)), axis=1, kind="stable")
    distances /= distances.max(axis=1, keepdims=True)

    def reciprocal(i, k):
        return {j for j in order[i, : k + 1] if i in order[j, : k + 1]}

    encodings = np.zeros_like(distances)
    for i, encoding in enumerate(encodings):
        members = reciprocal(i, k1)
        halves = [reciprocal(j, round(k1 / 2)) for j in members]
        joined = [half for half in halves if len(half & members) > len(half) * 2 / 3]
        members = list(members.union(*joined))
        encoding[members] = np.exp(-distances[i, members])
        encoding /= encoding.sum()
    encodings = encodings[order[:, :k2]].mean(axis=1)
    pairs = encodings[: len(query), None], encodings[None, len(query) :]
    jaccard = 1 - np.minimum(*pairs).sum(axis=2) / np.maximum(*pairs).sum(axis=2)
    return (1 - weight) * jaccard + weight * distances[: len(query), len(query) :]


def released_case(kind):
    """The stored values, features and labels; features at length 1 for "norm"."""
    values = golden("evaluation.npz")
    features = [values["qf"], values["gf"]]
    if kind == "norm":
        features = [unit_length(x) for x in features]
    return (
        values,
        features,
        [Labels(values[f"{x}_pids"], values[f"{x}_camids"]) for x in "qg"],
    )


def scores_of(distances, labels):
    whole = [(slice(0, len(distances)), distances)]
    return Scores.of(rank_given(whole, *labels, matches(*labels)))


def squared(query, gallery):
    return np.square(query[:, None].astype(float) - gallery).sum(axis=2)


def joined(*sides, **options):
    """All rows of `rerank_rows`, whose places must be in order and complete."""
    blocks = list(rerank_rows(*sides, **options))
    places = [np.arange(part.start, part.stop) for part, _ in blocks]
    (total,) = {len(x) for x in sides[0].values()}
    np.testing.assert_array_equal(np.concatenate(places), np.arange(total))
    return np.concatenate([rows for _, rows in blocks])


def assert_scores(scores, precision, cmc):
    assert scores.mAP == pytest.approx(float(precision), abs=1e-6)
    for rank, share in scores.cmc.items():
        assert share == pytest.approx(cmc[rank - 1], abs=1e-6)


@pytest.mark.parametrize("preset", ["20-6", "50-15"])
@pytest.mark.parametrize("kind", ["norm", "raw"])
def test_equals_the_released_program(kind, preset):
    values, features, labels = released_case(kind)
    distances = rerank(*features, **PRESETS[preset])
    scores = scores_of(distances, labels)
    name = f"{kind}/rerank_{preset.replace('-', '_')}/"
    assert distances.dtype == np.float32
    np.testing.assert_allclose(distances, values[name + "dist_f32variant"], rtol=0, atol=1e-5)
    assert_scores(scores, values[name + "mAP_f32variant"], values[name + "cmc_f32variant"])
    # As it was released, in half precision.
    np.testing.assert_allclose(distances, values[name + "dist"], rtol=0, atol=1e-2)
    assert scores.mAP == pytest.approx(float(values[name + "mAP"]), abs=3e-3)


def test_equals_the_released_programs_other_module():
    """It takes Euclidean distances and squares them, which is where ours starts; our defaults."""
    values, features, labels = released_case("norm")
    distances = rerank(*features)
    scores = scores_of(distances, labels)
    name = "norm/rerank2_20_6/"
    np.testing.assert_allclose(distances, values[name + "dist"], rtol=0, atol=1e-5)
    assert_scores(scores, values[name + "mAP"], values[name + "cmc"])


@pytest.mark.parametrize("features", [crowd, grid])
@pytest.mark.parametrize(
    ("k1", "k2", "weight"), [(6, 3, 0.3), (5, 1, 0.5), (7, 9, 0.0), (1, 2, 0.3), (90, 80, 0.3)]
)
def test_equals_the_definition(features, k1, k2, weight):
    query, gallery = features()
    expected = by_definition(query, gallery, k1, k2, weight)
    distances = rerank(query, gallery, k1, k2, weight)
    np.testing.assert_allclose(distances, expected, rtol=0, atol=2e-6)


def test_two_pairs_by_hand():
    query, gallery = np.array([[0.0]]), np.array([[1.0], [10.0], [11.0]])
    distances = rerank(query, gallery, k1=1, k2=1, weight=0.3)
    near, far = np.exp(-1 / 121), np.exp(-1 / 100)  # weights of the pair's other, by largest
    own, other = np.array([1, near]) / (1 + near), np.array([far, 1]) / (1 + far)
    jaccard = 1 - np.minimum(own, other).sum() / np.maximum(own, other).sum()
    expected = 0.7 * np.array([jaccard, 1, 1]) + 0.3 * np.array([1, 100, 121]) / 121
    np.testing.assert_allclose(distances[0], expected, atol=1e-6)


def test_neighbours_overrule_the_distance():
    """Of two images at about one distance, the one among the query's own neighbours is nearer."""
    query = np.array([[0.0]])
    gallery = np.array([[-0.9], [-0.5], [-0.4], [0.89], [1.3], [1.35]])
    assert squared(query, gallery)[0, [0, 3]].argmin() == 1
    assert rerank(query, gallery, k1=3, k2=1)[0, [0, 3]].argmin() == 0


def test_the_gallerys_order_does_not_matter():
    query, gallery = crowd()
    order = np.random.default_rng(1).permutation(len(gallery))
    shuffled = rerank(query, gallery[order], 6, 3)
    np.testing.assert_allclose(shuffled, rerank(query, gallery, 6, 3)[:, order], atol=1e-6)


@pytest.mark.parametrize("size", [7, 16])
def test_a_large_set_is_reranked_as_in_one_piece(monkeypatch, size):
    whole = rerank(*crowd(), 6, 3)
    monkeypatch.setattr(running_top_k, "BLOCK", size)
    monkeypatch.setattr(module, "QUERIES_AT_ONCE", size // 2)
    np.testing.assert_allclose(rerank(*crowd(), 6, 3), whole, atol=1e-6)


@pytest.mark.slow
def test_the_number_of_devices_does_not_matter():
    """This file as a program, on four devices."""
    environment = environment_with(devices=4)
    subprocess.run([sys.executable, __file__], cwd=ROOT, env=environment, check=True)


def main():
    import jax

    assert jax.device_count() == 4
    for query, gallery in (crowd(), grid()):
        expected = by_definition(query, gallery, 6, 3, 0.3)
        np.testing.assert_allclose(rerank(query, gallery, 6, 3), expected, rtol=0, atol=2e-6)


def test_several_features_are_reranked_as_one_beside_the_other():
    """A mean of squared distances has the neighbours and shares of their sum."""
    sides = [{"a": x, "b": y} for x, y in zip(crowd(), crowd(seed=1), strict=True)]
    concatenated = [np.concatenate([*side.values()], axis=1) for side in sides]
    np.testing.assert_allclose(joined(*sides, k1=6, k2=3), rerank(*concatenated, 6, 3), atol=1e-6)


def test_a_gallery_in_half_precision_is_its_numbers():
    query, gallery = crowd()
    halves = gallery.astype(np.float16)
    found = joined({"": query}, {"": halves}, k1=6, k2=3)
    np.testing.assert_array_equal(found, rerank(query, halves.astype(np.float32), 6, 3))
    np.testing.assert_allclose(found, rerank(query, gallery, 6, 3), atol=2e-3)


def test_presets_are_named_by_their_numbers():
    for name, settings in PRESETS.items():
        assert name == f"{settings['k1']}-{settings['k2']}"
        assert settings["weight"] == 0.3


def test_weight_1_is_the_distance_as_a_share_of_the_largest():
    query, gallery = crowd()
    everything = np.concatenate([query, gallery])
    largest = squared(query, everything).max(axis=1, keepdims=True)
    expected = squared(query, gallery) / largest
    np.testing.assert_allclose(rerank(query, gallery, 6, 3, weight=1), expected, atol=1e-6)


def test_copies_of_one_image():
    few = rerank(np.ones((2, 4)), np.ones((5, 4)), k1=6, k2=1)
    np.testing.assert_allclose(few, 0, atol=1e-6)
    assert np.isfinite(rerank(np.ones((2, 4)), np.ones((50, 4)), k1=6, k2=2)).all()


def test_no_array_has_a_row_and_a_column_for_every_image():
    query, gallery = ({"": side} for side in crowd(images=3000, identities=300))
    tracemalloc.start()
    joined(query, gallery, k1=8, k2=3, memory_mb=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3000**2  # bytes, so not even one for each pair


def test_no_array_has_every_query_and_gallery_image():
    query, gallery = np.split(np.concatenate(crowd(images=4000, identities=400)), 2)
    largest = 0
    for _, rows in rerank_rows({"": query}, {"": gallery}, 8, 3, memory_mb=2):
        largest = max(largest, rows.nbytes)
    assert largest <= 2 * 2**20


@pytest.mark.parametrize("wrong", [{"k1": 0}, {"k2": 0}, {"weight": 1.5}, {"weight": np.nan}])
def test_impossible_settings_are_an_error(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} = "):
        rerank_rows(*({"": side} for side in crowd()), **wrong)  # before a row is asked for


@pytest.mark.parametrize(("queries", "images"), [(0, 5), (5, 0)])
def test_nothing_to_rerank_is_an_error(queries, images):
    with pytest.raises(ValueError, match=f"{images} gallery images for {queries} queries"):
        rerank(np.ones((queries, 3)), np.ones((images, 3)))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_an_error(value):
    query, gallery = crowd()
    gallery[3, 2] = value
    with pytest.raises(UserError, match="not finite"):
        rerank(query, gallery)


if __name__ == "__main__":
    main()
