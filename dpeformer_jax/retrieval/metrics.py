"""Ranking metrics of person re-ID by the Market-1501 protocol. NumPy only.

For each query the gallery images with its identity and its camera are removed; identity -1 is junk
and is removed for all. A query with no match left is skipped and counted.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

RANKS = (1, 5, 10, 20)
JUNK = -1
QUERIES_AT_ONCE = 64  # so that ranking them against a gallery of 100,000 takes some 0.3 GB


@dataclasses.dataclass(frozen=True)
class Scores:
    """Means over the used queries, as fractions of 1.

    mAP: all-point average precision (sum of the precision at each hit / number of hits).
    mINP: inverse negative penalty, number of hits / rank of the last one (arXiv 2001.04193).
    cmc: rank k -> share of queries with a hit among the first k.
    """

    mAP: float  # noqa: N815, the field's name for it
    mINP: float  # noqa: N815
    cmc: dict[int, float]
    queries_used: int
    queries_skipped: int

    def as_dict(self) -> dict[str, float]:
        """The scores under the names of eval.json."""
        return {"mAP": self.mAP, "mINP": self.mINP, **{f"rank{k}": v for k, v in self.cmc.items()}}


def normalize(features: np.ndarray) -> np.ndarray:
    """Rows of [M, F] at length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def squared_distances(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [Q, G] of rows of [Q, F] and [G, F]; they rank as distances."""
    square = [np.einsum("mf,mf->m", x, x) for x in (query, gallery)]
    return square[0][:, None] + square[1] - 2 * query @ gallery.T


def rank_queries(distances: np.ndarray, match: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Average precision, INP and rank of the first hit of each query.

    Args:
        distances: [Q, G]; of equal ones the gallery's order decides.
        match: [Q, G] bool, same identity.
        removed: [Q, G] bool, does not take part in this query's ranking.

    Returns:
        [Q, 3]; NaN where a query has no match left.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    kept = np.take_along_axis(~removed, order, axis=1)
    hit = np.take_along_axis(match, order, axis=1) & kept
    rank = kept.cumsum(axis=1)
    hits = hit.sum(axis=1)
    with np.errstate(invalid="ignore"):
        precision = np.where(hit, hit.cumsum(axis=1) / np.maximum(rank, 1), 0).sum(axis=1) / hits
        first = np.where(hit, rank, np.inf).min(axis=1)
        last = np.where(hit, rank, 0).max(axis=1)
        result = np.stack([precision, hits / last, first], axis=1)
    return np.where(hits[:, None] > 0, result, np.nan)


def score(
    query: np.ndarray,
    gallery: np.ndarray,
    query_identities: np.ndarray,
    gallery_identities: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
) -> Scores:
    """Scores features [Q, F] against [G, F] with identities and cameras [Q], [G].

    Raises:
        ValueError: no query has a match in the gallery.
    """
    return score_distances(
        lambda part: squared_distances(query[part], gallery),
        query_identities,
        gallery_identities,
        query_cameras,
        gallery_cameras,
    )


def score_distances(
    distances: Callable[[slice], np.ndarray],
    query_identities: np.ndarray,
    gallery_identities: np.ndarray,
    query_cameras: np.ndarray,
    gallery_cameras: np.ndarray,
) -> Scores:
    """`score` of distances [Q, G], of which `distances(part)` gives the queries of a slice.

    Raises:
        ValueError: no query has a match in the gallery.
    """
    total = len(query_identities)
    ranked = []
    for start in range(0, total, QUERIES_AT_ONCE):
        part = slice(start, start + QUERIES_AT_ONCE)
        match = query_identities[part, None] == gallery_identities
        seen = match & (query_cameras[part, None] == gallery_cameras)
        removed = seen | (gallery_identities == JUNK)
        ranked.append(rank_queries(distances(part), match, removed))
    ranked = np.concatenate(ranked)
    used = ranked[~np.isnan(ranked[:, 0])]
    if not len(used):
        raise ValueError(
            f"none of the {total} queries has an image of its identity from another camera "
            "in the gallery; are query and gallery of one data set?"
        )
    precision, penalty, first = used.T
    return Scores(
        mAP=float(precision.mean()),
        mINP=float(penalty.mean()),
        cmc={k: float((first <= k).mean()) for k in RANKS},
        queries_used=len(used),
        queries_skipped=len(ranked) - len(used),
    )
