"""Ranking metrics of person re-ID, from the ranks of the matches.

A query with no match left is skipped and counted.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from dpeformer_jax.retrieval.protocol import Labels
from dpeformer_jax.retrieval.ranking import Ranked, rank
from dpeformer_jax.retrieval.shares import Share

RANKS = (1, 5, 10, 20)


class Ranking(NamedTuple):
    """How well the gallery is ordered for each of Q queries; NaN where no match is left.

    precision: [Q] all-point average precision, the mean of the precision at each match; penalty:
    [Q] inverse negative penalty, number of matches / rank of the last (arXiv 2001.04193); first:
    [Q] rank of the first match.
    """

    precision: np.ndarray
    penalty: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, ranked: Ranked) -> "Ranking":
        """Returns what follows from the ranks of the matches."""
        match = np.isfinite(ranked.distances)
        number = np.arange(1, match.shape[1] + 1)  # of matches up to this one
        ranks = number + ranked.nearer
        hits = match.sum(axis=1)
        with np.errstate(invalid="ignore"):
            precision = np.where(match, number / ranks, 0).sum(axis=1) / hits
            penalty = hits / ranks[np.arange(len(hits)), np.maximum(hits - 1, 0)]
        found = precision, penalty, ranks[:, 0]
        return cls(*(np.where(hits > 0, x, np.nan) for x in found))

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

    @classmethod
    def of(cls, ranked: Ranked) -> "Scores":
        """Returns the means; raises ValueError where no query has a match in the gallery."""
        ranking = Ranking.of(ranked)
        total = len(ranking.precision)
        if not ranking.used.any():
            raise ValueError(
                f"none of the {total} queries has an image of its identity from another camera "
                "in the gallery; are query and gallery of one data set?"
            )
        precision, penalty, first = (x[ranking.used] for x in ranking)
        return cls(
            mAP=float(precision.mean()),
            mINP=float(penalty.mean()),
            cmc={k: float((first <= k).mean()) for k in RANKS},
            queries_used=len(first),
            queries_skipped=total - len(first),
            ranking=ranking,
        )

    def as_dict(self) -> dict[str, float]:
        """Returns the scores under the names of eval.json."""
        return {"mAP": self.mAP, "mINP": self.mINP, **{f"rank{k}": v for k, v in self.cmc.items()}}


def score(query: np.ndarray, gallery: np.ndarray, of_query: Labels, of_gallery: Labels) -> Scores:
    """Scores features [Q, F] against [G, F] by squared Euclidean distance.

    Raises ValueError where a feature is not finite, or no query has a match.
    """
    (ranked,) = rank({"": query}, Share.of_all({"": gallery}), of_query, of_gallery).values()
    return Scores.of(ranked)
