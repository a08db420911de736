"""The nearest gallery images of each query, exactly and without a matrix or a sort of all pairs.

The devices find some candidates more than asked for, in float32 (running_top_k.py). Where two are
too close for float32, the host orders them in float64. A query whose last neighbour stays open to
the last of its candidates starts again with more of them.
"""

from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import MEMORY_MB, exact
from dpeformer_jax.retrieval.running_top_k import Seen, scan
from dpeformer_jax.runtime.devices import data_mesh

SPARE = 8  # candidates at first, beside those asked for


class Nearest(NamedTuple):
    """The k nearest gallery images of Q queries, by float64 distance and then by gallery place.

    places: [Q, k] int64; distances: [Q, k] float64, computed in float32 where that settles their
    order; largest: [Q] float32, the distance of the query's furthest image.
    """

    places: np.ndarray
    distances: np.ndarray
    largest: np.ndarray


def nearest(
    query: Features,
    gallery: Features,
    count: int,
    *,
    mesh: Mesh | None = None,
    memory_mb: int = MEMORY_MB,
    title: str = "",
) -> Nearest:
    """Finds the min(count, G) nearest gallery images of each query.

    Distances are squared Euclidean, and the mean over the features where there are several.

    Args:
        query: [Q, F] by name. The very object `gallery` takes half the time, as d(a, b) = d(b, a).
        gallery: [G, F] by name, float32 or float16.
        mesh: of devices of this process; None: all of them.
        memory_mb: that blocks of images may take, besides the features and the result.
        title: of the progress bar, "" for none.

    Raises:
        ValueError: a feature is not finite, or there is no query or no gallery image.
    """
    queries, images = (len(next(iter(side.values()))) for side in (query, gallery))
    if not queries or not images:
        raise ValueError(
            f"neighbours of {queries} queries among {images} gallery images: there must be at "
            "least one of each"
        )
    mesh = data_mesh(jax.local_devices()) if mesh is None else mesh
    count = min(count, images)
    return _nearest(query, gallery, count, count + SPARE, mesh, memory_mb, title)


def _nearest(
    query: Features,
    gallery: Features,
    count: int,
    candidates: int,
    mesh: Mesh,
    memory_mb: int,
    title: str = "",
) -> Nearest:
    images = len(next(iter(gallery.values())))
    candidates = min(candidates, images)
    seen = scan(query, gallery, candidates, mesh, memory_mb, title)
    # Whether a candidate and the next may have the other order.
    close = np.diff(seen.nearness, axis=1) >= -2 * seen.error[:, None]
    found = _ordered(query, gallery, seen, close, count)
    # An error of 0 is of images at one place, whose order the devices kept.
    open_ended = close[:, count - 1 :].all(axis=1) & (seen.error > 0) & (candidates < images)
    again = np.flatnonzero(open_ended)
    step = max(memory_mb * 2**20 // (64 * candidates), 1)
    for rows in (again[i : i + step] for i in range(0, len(again), step)):
        part = {name: x[rows] for name, x in query.items()}
        better = _nearest(part, gallery, count, 2 * candidates, mesh, memory_mb)
        for whole, new in zip(found, better, strict=True):
            whole[rows] = new
    return found


def _ordered(
    query: Features, gallery: Features, seen: Seen, close: np.ndarray, count: int
) -> Nearest:
    """Returns the first of the candidates; close: [Q, candidates - 1]."""
    distances = np.maximum(-seen.nearness.astype(np.float64), 0)
    unsure = np.pad(close, ((0, 0), (0, 1))) | np.pad(close, ((0, 0), (1, 0)))
    sides = ([side[name] for name in gallery] for side in (query, gallery))
    distances[unsure] = exact(*sides, np.nonzero(unsure)[0], seen.places[unsure])
    order = np.lexsort((seen.places, distances), axis=1)[:, :count]
    places, distances = (
        np.take_along_axis(x, order, axis=1) for x in (seen.places.astype(np.int64), distances)
    )
    return Nearest(places, distances, seen.largest)
