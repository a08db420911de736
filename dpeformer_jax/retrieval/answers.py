"""The first answers to each query, as its ranking has them: what pictures show of a ranking."""

from typing import NamedTuple

import numpy as np

from dpeformer_jax.base.protocol import JUNK
from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import MEMORY_MB, exact
from dpeformer_jax.retrieval.nearest import nearest
from dpeformer_jax.retrieval.protocol import Labels, Pairs

NONE = -1  # the place where a query has fewer answers


class Answers(NamedTuple):
    """The first answers to Q queries.

    places: [Q, k] int64 in the gallery, NONE where there are fewer; distances: [Q, k] float64,
    infinite there; right: [Q, k] bool, whether an answer shows the query's person.
    """

    places: np.ndarray
    distances: np.ndarray
    right: np.ndarray


def first_answers(
    query: Features,
    gallery: Features,
    of_query: Labels,
    of_gallery: Labels,
    count: int,
    *,
    camera_rule: bool = True,
    memory_mb: int = MEMORY_MB,
    title: str = "",
) -> Answers:
    """Finds the first `count` answers to each query by the protocol that scores are computed by.

    Args:
        query, gallery: the features that are compared together, [Q, F] and [G, F] by name.
        of_query, of_gallery: who they show, and which camera took them.
        camera_rule: whether pictures of the query's person by its own camera are left out.
        memory_mb, title: see nearest.

    Raises:
        ValueError: there is no query, or no gallery image that may be found.
    """
    kept = np.flatnonzero(of_gallery.identities != JUNK)
    others, labels = {n: x[kept] for n, x in gallery.items()}, of_gallery.at(kept)
    spare = _most_left_out(of_query, labels) if camera_rule else 0
    found = nearest(query, others, count + spare, memory_mb=memory_mb, title=title)
    same = labels.identities[found.places] == of_query.identities[:, None]
    left_out = same & (labels.cameras[found.places] == of_query.cameras[:, None]) & camera_rule
    order = np.argsort(left_out, axis=1, kind="stable")[:, :count]
    places, distances, same, left_out = (
        np.take_along_axis(x, order, axis=1)
        for x in (kept[found.places], found.distances, same, left_out)
    )
    gone = np.where(left_out, NONE, places), np.where(left_out, np.inf, distances)
    return Answers(*gone, same & ~left_out)


def nearest_matches(query: Features, gallery: Features, pairs: Pairs, queries: int) -> np.ndarray:
    """Returns the place [Q] of the nearest match of each query, NONE where it has none.

    Args:
        query, gallery: see first_answers; pairs: the matches.
    """
    distances = exact([*query.values()], [gallery[n] for n in query], pairs.rows, pairs.columns)
    order = np.lexsort((pairs.columns, distances, pairs.rows))[::-1]
    places = np.full(queries, NONE)
    places[pairs.rows[order]] = pairs.columns[order]  # the nearest is written last
    return places


def _most_left_out(query: Labels, gallery: Labels) -> int:
    """Returns the largest number of gallery images that the camera rule takes from a query."""
    pairs = np.stack([np.concatenate(both) for both in zip(query, gallery, strict=True)])
    _, numbers = np.unique(pairs, axis=1, return_inverse=True)
    queries = len(query.identities)
    counts = np.bincount(numbers[queries:], minlength=numbers.max() + 1)
    return int(counts[numbers[:queries]].max())
