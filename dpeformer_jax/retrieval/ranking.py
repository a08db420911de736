"""Ranks the matches of each query in a gallery of any size, exactly and without sorting it.

The rank of a match follows from the number of impostors nearer than it (counting.py). Distances are
those of float64 arithmetic on the stored numbers, and of equal distances the gallery's order
decides. So ranks are the same on every platform, for every block size, number of devices and number
of processes.
"""

from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from dpeformer_jax.base.protocol import JUNK
from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.counting import BINS, KEYS_AT_ONCE, Counter, Keys, Side
from dpeformer_jax.retrieval.distances import (
    MEMORY_MB,
    Targets,
    exact,
    largest_distance,
    targets_of,
)
from dpeformer_jax.retrieval.protocol import Labels, Pairs, matches
from dpeformer_jax.retrieval.shares import Share, gathered, summed
from dpeformer_jax.retrieval.verification import Impostors
from dpeformer_jax.runtime.devices import data_mesh


class Ranked(NamedTuple):
    """The matches of Q queries in one target, those of a query in their order.

    distances: [Q, T] float64, infinite where a query has no further match; nearer: [Q, T] number of
    impostors before each; impostors: all their distances, None where they compare no two queries.
    """

    distances: np.ndarray
    nearer: np.ndarray
    impostors: Impostors | None = None

    @property
    def genuine(self) -> np.ndarray:
        """Returns the distances of all matches, [M]."""
        return self.distances[np.isfinite(self.distances)]


def rank(
    query: Features,
    gallery: Share,
    of_query: Labels,
    of_gallery: Labels,
    *,
    targets: Targets | None = None,
    pairs: Pairs | None = None,
    impostors: np.ndarray | None = None,
    memory_mb: int = MEMORY_MB,
    mesh: Mesh | None = None,
    title: str = "",
) -> dict[str, Ranked]:
    """Ranks the matches of features [Q, F] by name in a gallery; returns them by target.

    Args:
        gallery: this process's share.
        of_query, of_gallery: [Q] and [G], of the whole gallery.
        targets: what is ranked; None: each feature, and of several all together.
        pairs: the matches; None: those of the protocol.
        impostors: places of the gallery images that count beside them; None: all.
        memory_mb: that the blocks may take, besides the features.
        mesh: of devices of this process; None: all of them.
        title: of the progress bar, "" for none.

    Raises:
        UserError: a feature is not finite.
        ValueError: there is no query.
    """
    if not len(of_query.identities):
        raise ValueError("there is no query to rank a gallery for")
    targets = targets_of(query) if targets is None else targets
    pairs = matches(of_query, of_gallery) if pairs is None else pairs
    mesh = data_mesh(jax.local_devices()) if mesh is None else mesh
    people = _numbered(of_query.identities, of_gallery.identities)
    others = gallery if impostors is None else gallery.only(impostors)
    keys, widths = {}, {}
    for name, members in targets.items():
        ours = [query[member] for member in members]
        distances = _exact(ours, gallery, members, pairs)
        keys[name] = sorted_keys(pairs, distances, len(people[0]))
        widths[name] = _bin_width(ours, [others.features[member] for member in members])
    counter = Counter(Side(query, people[0]), keys, targets, widths, mesh)
    held = Side(others.features, people[1][others.places])
    counter.add(held, others.places, memory_mb, title)
    nearer = counter.nearer
    return {
        name: Ranked(
            keys[name].distances,
            summed(nearer[name]),
            Impostors(
                summed(counter.histogram[name]),
                widths[name],
                gathered(np.array(counter.error[name])).max(),
            ),
        )
        for name in targets
    }


def sorted_keys(pairs: Pairs, distances: np.ndarray, queries: int) -> Keys:
    """Returns the matches of each query in their order; distances: [P] of the pairs."""
    counts = np.bincount(pairs.rows, minlength=queries)
    size = (counts.max() // KEYS_AT_ONCE + 1) * KEYS_AT_ONCE  # so that each row ends free
    order = np.lexsort((pairs.columns, distances, pairs.rows))
    rows = pairs.rows[order]
    within = np.arange(len(rows)) - (counts.cumsum() - counts)[rows]
    keys = Keys(np.full((queries, size), np.inf), np.zeros((queries, size), np.int64))
    keys.distances[rows, within] = distances[order]
    keys.places[rows, within] = pairs.columns[order]
    return keys


def _exact(
    query: list[np.ndarray], gallery: Share, members: tuple[str, ...], pairs: Pairs
) -> np.ndarray:
    """Returns the distances [P] of pairs, each from the process that holds its gallery image."""
    rows, here = gallery.find(pairs.columns)
    distances = np.zeros(len(here))
    held = [gallery.features[member] for member in members]
    distances[here] = exact(query, held, pairs.rows[here], rows[here])
    return summed(distances)


def _bin_width(query: list[np.ndarray], gallery: list[np.ndarray]) -> float:
    """Returns the width of bins that reach to the largest distance in any process's share."""
    return gathered(np.array(largest_distance(query, gallery))).max() / BINS or 1.0


def _numbered(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers identities [Q] and [G] from 0, for labels may need 64 bits; junk becomes -1."""
    different, numbers = np.unique(np.concatenate([query, gallery]), return_inverse=True)
    numbers = np.where(different[numbers] == JUNK, -1, numbers).astype(np.int32)
    return numbers[: len(query)], numbers[len(query) :]
