"""A feature's ranking with all that pictures show of it."""

from typing import NamedTuple

import numpy as np

from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.answers import Answers, first_answers, nearest_matches
from dpeformer_jax.retrieval.metrics import Ranking
from dpeformer_jax.retrieval.protocol import Labels, matches
from dpeformer_jax.retrieval.ranking import Ranked, rank
from dpeformer_jax.retrieval.scoring import Scoring
from dpeformer_jax.retrieval.shares import Share


class ShownRanking(NamedTuple):
    """How the gallery is ranked for Q queries.

    ranked, ranking: as scores are computed of; answers: the first ones; nearest: [Q] place of the
    nearest match, answers.NONE where there is none.
    """

    ranked: Ranked
    ranking: Ranking
    answers: Answers
    nearest: np.ndarray


def shown_ranking(
    query: Features,
    gallery: Features,
    of_query: Labels,
    of_gallery: Labels,
    scoring: Scoring,
    count: int,
) -> ShownRanking:
    """Ranks a gallery by features that are compared together, [Q, F] and [G, F] by name.

    count: answers to find of each query.
    """
    sides = query, gallery, of_query, of_gallery
    rule = {"camera_rule": scoring.camera_rule, "memory_mb": scoring.memory_mb}
    pairs = matches(of_query, of_gallery, scoring.camera_rule)
    (ranked,) = rank(
        query,
        Share.of_all(gallery),
        of_query,
        of_gallery,
        targets={"": tuple(query)},
        pairs=pairs,
        memory_mb=scoring.memory_mb,
    ).values()
    answers = first_answers(*sides, count, **rule)
    nearest = nearest_matches(query, gallery, pairs, len(of_query.identities))
    return ShownRanking(ranked, Ranking.of(ranked), answers, nearest)
