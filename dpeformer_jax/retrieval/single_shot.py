"""CMC of a gallery with one image a person, as of the first protocol of CUHK03.

Each draw takes one random gallery image of every person, and of a query's own person one that the
protocol keeps. The share of queries whose match is among the first k is averaged over the draws.
"""

import numpy as np
from jax.sharding import Mesh

from dpeformer_jax.base.progress import progress
from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import MEMORY_MB, targets_of
from dpeformer_jax.retrieval.protocol import Labels, Pairs
from dpeformer_jax.retrieval.ranking import rank
from dpeformer_jax.retrieval.shares import Share


def single_shot_cmc(
    query: Features,
    gallery: Share,
    of_query: Labels,
    of_gallery: Labels,
    pairs: Pairs,
    draws: int,
    ranks: tuple[int, ...],
    *,
    memory_mb: int = MEMORY_MB,
    mesh: Mesh | None = None,
    title: str = "",
) -> dict[str, dict[int, float]]:
    """Returns the shares by target and rank, of the queries with a match.

    Args: see `rank`; pairs: the matches that the protocol keeps; draws: how many, from seed 0.

    Raises:
        ValueError: no query has a match, or a feature is not finite.
    """
    if not len(pairs.rows):
        raise ValueError(f"none of the {len(of_query.identities)} queries has a match to draw")
    shares = {name: np.zeros(len(ranks)) for name in targets_of(query)}
    for draw in progress(range(draws), title=title, unit="draw"):
        rng = np.random.default_rng((0, draw))
        one_each = drawn_gallery(of_gallery.identities, rng)
        matches = drawn_matches(pairs, rng)
        ranked = rank(
            *(query, gallery, of_query, of_gallery),
            **{"pairs": matches, "impostors": one_each, "memory_mb": memory_mb, "mesh": mesh},
        )
        for name, of in ranked.items():
            first = 1 + of.nearer[matches.rows, 0]
            shares[name] += [(first <= rank).mean() / draws for rank in ranks]
    return {name: dict(zip(ranks, map(float, of), strict=True)) for name, of in shares.items()}


def drawn_gallery(identities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the places, ascending, of one random image of each identity [G]."""
    order = rng.permutation(len(identities))
    return np.sort(order[np.unique(identities[order], return_index=True)[1]])


def drawn_matches(pairs: Pairs, rng: np.random.Generator) -> Pairs:
    """Returns one random match of each query that has any."""
    order = np.lexsort((rng.random(len(pairs.rows)), pairs.rows))
    first = order[np.unique(pairs.rows[order], return_index=True)[1]]
    return Pairs(pairs.rows[first], pairs.columns[first])
