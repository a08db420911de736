"""Ranks the matches by distances that a caller computes, such as those of re-ranking."""

from collections.abc import Iterable

import numpy as np

from dpeformer_jax.retrieval.protocol import Labels, Pairs, is_impostor
from dpeformer_jax.retrieval.ranking import Ranked, sorted_keys


def rank_given(
    distances: Iterable[tuple[slice, np.ndarray]],
    of_query: Labels,
    of_gallery: Labels,
    pairs: Pairs,
) -> Ranked:
    """Ranks the matches of each query; of equal distances the gallery's order decides.

    Args:
        distances: (queries, distances [q, G] of these), in order; one block is held at a time.
        of_query, of_gallery: [Q] and [G].
        pairs: the matches.

    Raises:
        ValueError: there is no query.
    """
    if not len(of_query.identities):
        raise ValueError("there is no query to rank a gallery for")
    of_pairs, counted = np.zeros(len(pairs.rows)), []
    for rows, block in distances:
        part = slice(*np.searchsorted(pairs.rows, (rows.start, rows.stop)))
        of_pairs[part] = block[pairs.rows[part] - rows.start, pairs.columns[part]]
        starts = np.searchsorted(pairs.rows, np.arange(rows.start, rows.stop + 1))
        for query, row in enumerate(block):
            own = slice(starts[query], starts[query + 1])
            others = is_impostor(of_query.identities[rows.start + query], of_gallery.identities)
            counted.append(_nearer(row, others, of_pairs[own], pairs.columns[own]))
    keys = sorted_keys(pairs, of_pairs, len(of_query.identities))
    nearer = np.zeros(keys.places.shape, np.int64)
    # In a row both are sorted by the keys, for more impostors are before a later key.
    within = (
        np.arange(keys.places.shape[1])
        < np.bincount(pairs.rows, minlength=len(of_query.identities))[:, None]
    )
    nearer[within] = np.concatenate([np.sort(counts) for counts in counted])
    return Ranked(keys.distances, nearer)


def _nearer(
    distances: np.ndarray, others: np.ndarray, keys: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Returns how many others [G] bool are before each key; distances: [G] of one query."""
    ordered = np.sort(distances[others])
    first, last = (np.searchsorted(ordered, keys, side) for side in ("left", "right"))
    for key in np.flatnonzero(last > first):
        equal = others & (distances == keys[key])
        first[key] += np.count_nonzero(equal[: places[key]])
    return first
