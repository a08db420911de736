"""Ranking metrics of person re-ID by the Market-1501 protocol, in NumPy alone.

For each query the gallery images with its identity and its camera are removed. Images of the
identity JUNK are removed for all queries. A query with no match left is skipped and counted.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dpeformer_jax.base.protocol import JUNK

RANKS = (1, 5, 10, 20)
QUERIES_AT_ONCE = 64  # so that ranking them against a gallery of 100,000 takes some 0.3 GB


class Labels(NamedTuple):
    """Who M images show, and which camera took them: [M] whole numbers each."""

    identities: np.ndarray
    cameras: np.ndarray


class Ranking(NamedTuple):
    """How well the gallery is ordered for each of Q queries; NaN where no match is left.

    precision: [Q] all-point average precision, the mean of the precision at each match; penalty:
    [Q] inverse negative penalty, number of matches / rank of the last (arXiv 2001.04193); first:
    [Q] rank of the first match.
    """

    precision: np.ndarray
    penalty: np.ndarray
    first: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """[Q] bool, the queries with a match."""
        return ~np.isnan(self.precision)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Means over the used queries, as fractions of 1.

    mAP, mINP: see Ranking; cmc: share of queries with a match among the first k, by k; ranking: of
    all queries, which the means are of.
    """

    mAP: float  # noqa: N815, the field's name for it
    mINP: float  # noqa: N815
    cmc: dict[int, float]
    queries_used: int
    queries_skipped: int
    ranking: Ranking = dataclasses.field(repr=False, compare=False)

    def as_dict(self) -> dict[str, float]:
        """Returns the scores under the names of eval.json."""
        return {"mAP": self.mAP, "mINP": self.mINP, **{f"rank{k}": v for k, v in self.cmc.items()}}


def squared_distances(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Returns squared Euclidean distances [Q, G] of [Q, F] and [G, F]; they rank as distances."""
    square = [np.einsum("mf,mf->m", x, x) for x in (query, gallery)]
    return square[0][:, None] + square[1] - 2 * query @ gallery.T


def rank_queries(distances: np.ndarray, match: np.ndarray, removed: np.ndarray) -> Ranking:
    """Orders the gallery for each query.

    Args:
        distances: [Q, G]; among equal ones the gallery's order decides.
        match: [Q, G] bool, same identity.
        removed: [Q, G] bool, takes no part in the query's ranking.
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
        found = precision, hits / last, first
    return Ranking(*(np.where(hits > 0, x, np.nan) for x in found))


def score(query: np.ndarray, gallery: np.ndarray, of_query: Labels, of_gallery: Labels) -> Scores:
    """Scores features [Q, F] against [G, F]; see `score_distances`."""
    return score_distances(
        lambda part: squared_distances(query[part], gallery), of_query, of_gallery
    )


def score_distances(
    distances: Callable[[slice], np.ndarray], of_query: Labels, of_gallery: Labels
) -> Scores:
    """Scores distances [Q, G], of which `distances(part)` gives the queries of a slice.

    Raises:
        ValueError: no query has a match in the gallery.
    """
    total = len(of_query.identities)
    parts = [slice(i, i + QUERIES_AT_ONCE) for i in range(0, total, QUERIES_AT_ONCE)]
    ranked = [rank_queries(distances(part), *_pairs(of_query, of_gallery, part)) for part in parts]
    ranking = Ranking(*(np.concatenate(x) for x in zip(*ranked, strict=True)))
    if not ranking.used.any():
        raise ValueError(
            f"none of the {total} queries has an image of its identity from another camera "
            "in the gallery; are query and gallery of one data set?"
        )
    precision, penalty, first = (x[ranking.used] for x in ranking)
    return Scores(
        mAP=float(precision.mean()),
        mINP=float(penalty.mean()),
        cmc={k: float((first <= k).mean()) for k in RANKS},
        queries_used=len(first),
        queries_skipped=total - len(first),
        ranking=ranking,
    )


def _pairs(query: Labels, gallery: Labels, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """Returns [q, G] same identity, and [q, G] removed, of the queries of a slice."""
    match = query.identities[part, None] == gallery.identities
    seen = match & (query.cameras[part, None] == gallery.cameras)
    return match, seen | (gallery.identities == JUNK)
