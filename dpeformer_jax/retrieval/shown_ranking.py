"""A feature's ranking with all that pictures show of it."""

from typing import NamedTuple

import numpy as np

from dpeformer_jax.base.interfaces import TestSet
from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.answers import Answers, first_answers, nearest_matches
from dpeformer_jax.retrieval.duplicates import duplicates
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
    test: TestSet,
    query: Features,
    gallery: Features,
    scoring: Scoring,
    count: int,
    places: np.ndarray | None = None,
) -> ShownRanking:
    """Ranks a test set's gallery by features that are compared together, as its scores do.

    Args:
        query, gallery: [Q, F] and [G, F] by name.
        count: answers to find of each query.
        places: [Q] of the queries in the test set; None for all of them.
    """
    of_query = Labels(test.query.identities, test.query.cameras)
    of_query = of_query if places is None else of_query.at(places)
    of_gallery = Labels(test.gallery.identities, test.gallery.cameras)
    if scoring.drop_duplicates:
        of_gallery = of_gallery.without(duplicates(test))
    gallery = {name: x.astype(scoring.storage, copy=False) for name, x in gallery.items()}
    pairs = matches(of_query, of_gallery, scoring.camera_rule)
    memory = {"memory_mb": scoring.memory_mb}
    labels, targets = (of_query, of_gallery), {"": tuple(query)}
    share = Share.of_all(gallery)
    (ranked,) = rank(query, share, *labels, targets=targets, pairs=pairs, **memory).values()
    rule = {"camera_rule": scoring.camera_rule} | memory
    answers = first_answers(query, gallery, *labels, count, **rule)
    nearest = nearest_matches(query, gallery, pairs, len(of_query.identities))
    return ShownRanking(ranked, Ranking.of(ranked), answers, nearest)
