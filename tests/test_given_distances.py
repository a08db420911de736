"""Ranks by distances of any kind."""

import numpy as np
import plain_scores
import pytest
from test_ranking import assert_ranks, ranks

from dpeformer_jax.retrieval.given_distances import rank_given
from dpeformer_jax.retrieval.protocol import Labels, matches


@pytest.mark.parametrize("people", [plain_scores.crowd, plain_scores.grid])
@pytest.mark.parametrize("rows", [7, 1000])
@pytest.mark.parametrize("camera_rule", [True, False])
def test_ranks_equal_a_sort_of_the_whole_matrix(people, rows, camera_rule):
    query, gallery, *labels = people()
    matrix = plain_scores.mean_distances(query, gallery).astype(np.float32)
    blocks = (
        (slice(i, min(i + rows, len(matrix))), matrix[i : i + rows])
        for i in range(0, len(matrix), rows)
    )
    found = rank_given(blocks, *labels, matches(*labels, camera_rule))
    expected = plain_scores.ranks_of_matches(matrix, *labels, camera_rule=camera_rule)
    assert_ranks(ranks(found), expected)
    assert found.impostors is None


def test_no_query_is_an_error():
    nobody = Labels(np.zeros(0, int), np.zeros(0, int))
    somebody = Labels(np.ones(2, int), np.ones(2, int))
    with pytest.raises(ValueError, match="no query"):
        rank_given([], nobody, somebody, matches(nobody, somebody))
