"""The first answers are those of the ranking that scores are computed by."""

import numpy as np
import pytest

from dpeformer_jax.base.protocol import JUNK
from dpeformer_jax.retrieval.answers import NONE, first_answers, nearest_matches
from dpeformer_jax.retrieval.distances import exact
from dpeformer_jax.retrieval.metrics import Scores
from dpeformer_jax.retrieval.protocol import Labels, matches
from dpeformer_jax.retrieval.ranking import rank
from dpeformer_jax.retrieval.shares import Share


def drawn(seed, queries=40, images=300, people=12):
    rng = np.random.default_rng(seed)

    def side(count):
        who = rng.integers(1, people, count)
        features = {n: rng.standard_normal((count, 8)).astype(np.float32) for n in ("a", "b")}
        return features, Labels(who, rng.integers(0, 3, count))

    (query, of_query), (gallery, of_gallery) = side(queries), side(images)
    of_gallery.identities[::17] = JUNK
    gallery["a"][5:9], gallery["b"][5:9] = gallery["a"][4], gallery["b"][4]  # ties
    return query, gallery, of_query, of_gallery


def plainly(query, gallery, of_query, of_gallery, row, rule):
    """A query's whole ranking, by sorting it."""
    places = np.arange(len(of_gallery.identities))
    rows = np.full(len(places), row)
    distances = exact([*query.values()], [*gallery.values()], rows, places)
    same = of_gallery.identities == of_query.identities[row]
    own = same & (of_gallery.cameras == of_query.cameras[row]) & rule
    kept = places[(of_gallery.identities != JUNK) & ~own]
    order = kept[np.lexsort((kept, distances[kept]))]
    return order, distances[order], same[order]


@pytest.mark.parametrize("rule", [True, False])
@pytest.mark.parametrize("count", [1, 10, 295])
def test_answers_are_the_head_of_the_sorted_gallery(rule, count):
    sides = drawn(count)
    found = first_answers(*sides, count, camera_rule=rule)
    for row in range(40):
        order, distances, right = (x[:count] for x in plainly(*sides, row, rule))
        some = found.places[row] != NONE
        np.testing.assert_array_equal(found.places[row][some], order)
        np.testing.assert_allclose(found.distances[row][some], distances, rtol=1e-5)
        np.testing.assert_array_equal(found.right[row][some], right)
        assert not found.right[row][~some].any() and np.isinf(found.distances[row][~some]).all()


def test_the_first_right_answer_has_the_rank_of_the_scores():
    query, gallery, of_query, of_gallery = sides = drawn(7)
    found = first_answers(*sides, 282)
    ranked = rank(query, Share(gallery, np.arange(300)), of_query, of_gallery)["concat"]
    ranking = Scores.of(ranked).ranking
    assert ranking.used.any()
    np.testing.assert_array_equal(
        found.right.argmax(1)[ranking.used] + 1, ranking.first[ranking.used]
    )


def test_the_nearest_match_is_the_first_right_answer():
    query, gallery, of_query, of_gallery = sides = drawn(3)
    of_query.identities[5] = 99
    found = first_answers(*sides, 282)
    nearest = nearest_matches(query, gallery, matches(of_query, of_gallery), 40)
    expected = found.places[np.arange(40), found.right.argmax(1)]
    np.testing.assert_array_equal(nearest, np.where(found.right.any(1), expected, NONE))
    assert nearest[5] == NONE
