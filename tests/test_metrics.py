"""Ranking metrics against hand-made rankings and the released program."""

import numpy as np
import pytest

from dpeformer_jax.features import unit_length
from dpeformer_jax.retrieval import metrics
from dpeformer_jax.retrieval.given_distances import rank_given
from dpeformer_jax.retrieval.protocol import Labels, matches
from tests.parity.released import golden


def one_query(distances, identities, cameras):
    """Scores of one query with identity 1 from camera 0 whose gallery lies on a line."""
    gallery = np.array(distances, float)[:, None]
    return metrics.score(
        np.zeros((1, 1)),
        gallery,
        Labels(np.array([1]), np.array([0])),
        Labels(np.array(identities), np.array(cameras)),
    )


def test_precision_penalty_and_first_hit_by_hand():
    scores = one_query([1, 2, 3, 4], [2, 1, 3, 1], [1, 1, 1, 1])
    assert scores.mAP == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert scores.mINP == pytest.approx(2 / 4)
    assert scores.cmc == {1: 0.0, 5: 1.0, 10: 1.0, 20: 1.0}


def test_own_camera_and_junk_do_not_count_but_distractors_do():
    plain = one_query([3, 4], [0, 1], [1, 1])
    assert plain.mAP == pytest.approx(1 / 2)
    assert one_query([1, 2, 3, 4], [1, -1, 0, 1], [0, 1, 1, 1]) == plain


def test_ties_keep_the_gallerys_order():
    assert one_query([1, 1], [1, 2], [1, 1]).mAP == 1
    assert one_query([1, 1], [2, 1], [1, 1]).mAP == pytest.approx(1 / 2)


def test_queries_without_a_match_are_skipped_and_counted():
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((3, 4)), rng.standard_normal((5, 4))
    of_query = Labels(np.array([1, 2, 9]), np.zeros(3, int))
    of_gallery = Labels(np.array([1, 1, 2, 2, 3]), np.ones(5, int))
    scores = metrics.score(query, gallery, of_query, of_gallery)
    assert (scores.queries_used, scores.queries_skipped) == (2, 1)


def test_no_match_at_all_is_an_error():
    with pytest.raises(ValueError, match="none of the 1 queries"):
        one_query([1, 2], [1, 5], [0, 1])


@pytest.mark.parametrize("kind", ["norm", "raw"])
def test_scores_equal_the_released_program(kind):
    values = golden("evaluation.npz")
    features = values["qf"], values["gf"]
    if kind == "norm":
        features = map(unit_length, features)
    labels = [Labels(values[f"{x}_pids"], values[f"{x}_camids"]) for x in "qg"]
    scores = metrics.score(*features, *labels)
    assert scores.mAP == pytest.approx(float(values[f"{kind}/mAP"]), abs=1e-6)
    for rank, share in scores.cmc.items():
        assert share == pytest.approx(values[f"{kind}/cmc"][rank - 1], abs=1e-6)
    assert scores.queries_used == values["query_valid"].sum() == 55


@pytest.mark.parametrize("step", ["0.125", "0.25"])
def test_massive_ties_equal_the_released_program_with_a_stable_sort(step):
    values = golden("evaluation.npz")
    labels = [Labels(values[f"{x}_pids"], values[f"{x}_camids"]) for x in "qg"]
    distances = values[f"ties_{step}/distmat"]
    ranked = rank_given([(slice(0, len(distances)), distances)], *labels, matches(*labels))
    expected = float(values[f"ties_{step}/mAP_stable"])
    assert metrics.Scores.of(ranked).mAP == pytest.approx(expected, abs=1e-6)
