"""CMC of one gallery image a person."""

import numpy as np
import plain_scores
import pytest

from dpeformer_jax.retrieval.protocol import matches
from dpeformer_jax.retrieval.scoring import Scoring, scores_of
from dpeformer_jax.retrieval.shares import Share
from dpeformer_jax.retrieval.single_shot import drawn_gallery, drawn_matches, single_shot_cmc

RANKS = (1, 5)


def test_equals_the_definition_with_the_same_draws():
    query, gallery, of_query, of_gallery = plain_scores.crowd()
    pairs = matches(of_query, of_gallery)
    found = single_shot_cmc(
        *(query, Share.of_all(gallery), of_query, of_gallery, pairs), draws=3, ranks=RANKS
    )
    matrix = plain_scores.distances(query["parts"], gallery["parts"])
    shares = []
    for draw in range(3):
        rng = np.random.default_rng((0, draw))
        one_each, chosen = drawn_gallery(of_gallery.identities, rng), drawn_matches(pairs, rng)
        for row, column in zip(*chosen, strict=True):
            others = one_each[
                (of_gallery.identities[one_each] != of_query.identities[row])
                & (of_gallery.identities[one_each] != -1)
            ]
            rank = 1 + (matrix[row, others] < matrix[row, column]).sum()
            shares.append([rank <= k for k in RANKS])
    np.testing.assert_allclose(list(found["parts"].values()), np.mean(shares, axis=0))


def test_every_image_and_every_match_is_drawn_at_times():
    *_, of_query, of_gallery = plain_scores.crowd()
    pairs = matches(of_query, of_gallery)
    images, drawn = set(), set()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        one_each = drawn_gallery(of_gallery.identities, rng)
        assert len(set(of_gallery.identities[one_each])) == len(one_each)
        assert len(one_each) == len(set(of_gallery.identities))
        images |= set(one_each.tolist())
        chosen = drawn_matches(pairs, rng)
        assert chosen.rows.tolist() == sorted(set(pairs.rows))
        drawn |= set(zip(*map(np.ndarray.tolist, chosen), strict=True))
    assert images == set(range(len(of_gallery.identities)))
    assert drawn == set(zip(*map(np.ndarray.tolist, pairs), strict=True))


def test_an_only_image_of_each_person_gives_the_usual_cmc():
    query, gallery, of_query, of_gallery = plain_scores.crowd(images=400)
    first = np.unique(of_gallery.identities, return_index=True)[1]
    gallery = {name: x[first] for name, x in gallery.items()}
    of_gallery = of_gallery.at(first)
    pairs = matches(of_query, of_gallery)
    found = single_shot_cmc(
        *(query, Share.of_all(gallery), of_query, of_gallery, pairs), draws=2, ranks=RANKS
    )
    matrix = plain_scores.distances(query["parts"], gallery["parts"])
    *_, ranks = plain_scores.scores(plain_scores.ranks_of_matches(matrix, of_query, of_gallery))
    assert list(found["parts"].values()) == [np.mean(ranks <= k) for k in RANKS]


def test_a_gallery_without_a_match_is_an_error():
    query, gallery, of_query, of_gallery = plain_scores.crowd()
    nobody = of_gallery.without(np.arange(len(of_gallery.identities)))
    pairs = matches(of_query, nobody)
    with pytest.raises(ValueError, match="none of the 40 queries has a match"):
        single_shot_cmc(
            *(query, Share.of_all(gallery), of_query, nobody, pairs), draws=2, ranks=RANKS
        )


def test_nothing_is_drawn_or_expanded_where_no_query_has_a_match():
    query, gallery, of_query, of_gallery = plain_scores.crowd()
    nobody = of_gallery.without(np.arange(len(of_gallery.identities)))
    scoring = Scoring(single_shot=2, expand=2, rerank={"k1": 6, "k2": 3, "weight": 0.3})
    with pytest.raises(ValueError, match="of its identity from another camera"):
        next(scores_of(query, Share.of_all(gallery), of_query, nobody, scoring))
