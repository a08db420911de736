"""Alpha query expansion (Radenovic et al., arXiv 1711.02512): a query joins what it finds first.

A query becomes the sum of itself and of its nearest gallery images, each weighted by its cosine
similarity to the power alpha, at length 1. Nothing is left out of the gallery: images of the
query's own camera are neighbours too, as for somebody who does not know the labels.
"""

import numpy as np
from jax.sharding import Mesh

from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import MEMORY_MB, exact
from dpeformer_jax.retrieval.nearest import nearest
from dpeformer_jax.retrieval.shares import Share, gathered, summed


def expand(
    query: Features,
    gallery: Share,
    neighbours: int,
    alpha: float,
    *,
    memory_mb: int = MEMORY_MB,
    mesh: Mesh | None = None,
    title: str = "",
) -> Features:
    """Returns the expanded queries [Q, F] by name; several features are expanded as one.

    Args:
        query: [Q, F] by name, each of length 1.
        gallery: this process's share, of the same features.
        neighbours: how many images join a query; alpha: 0 weighs all of them alike.
        memory_mb, mesh, title: see `nearest`.
    """
    near = np.zeros((len(next(iter(query.values()))), 0), int)
    if len(gallery.places):  # else other processes hold the gallery, and wait for this one
        near = nearest(
            query, gallery.features, neighbours, mesh=mesh, memory_mb=memory_mb, title=title
        ).places
    queries = np.arange(len(near)).repeat(near.shape[1])
    sides = ([side[name] for name in query] for side in (query, gallery.features))
    distances = exact(*sides, queries, near.ravel()).reshape(near.shape)
    weights = _joining(distances, near, gallery, neighbours, alpha)
    result = {}
    for name, features in query.items():
        total = np.zeros(features.shape, np.float64)
        for weight, row in zip(weights.T, near.T, strict=True):
            total += weight[:, None] * gallery.features[name][row]
        result[name] = features + summed(total)
    lengths = np.sqrt(np.mean([np.einsum("qf,qf->q", x, x) for x in result.values()], axis=0))
    lengths = np.maximum(lengths, 1e-12)  # as `unit_length` does
    return {n: (x / lengths[:, None]).astype(np.float32) for n, x in result.items()}


def _joining(
    distances: np.ndarray, rows: np.ndarray, gallery: Share, neighbours: int, alpha: float
) -> np.ndarray:
    """Returns weights [Q, k] of this process's images: 0 of those not among the nearest of all.

    distances, rows: [Q, k] of the nearest in its own share.
    """
    held = distances.shape[1]
    missing = [(0, 0), (0, neighbours - held)]
    distances = np.pad(distances, missing, constant_values=np.inf)
    rows = np.pad(rows, missing)
    places = gallery.places[rows] if len(gallery.places) else rows
    of_all, places_of_all = (np.concatenate(gathered(x), axis=1) for x in (distances, places))
    order = np.lexsort((places_of_all, of_all), axis=1)[:, neighbours - 1 : neighbours]
    last, place = (np.take_along_axis(x, order, axis=1) for x in (of_all, places_of_all))
    joins = np.isfinite(distances) & (
        (distances < last) | ((distances == last) & (places <= place))
    )
    similarity = np.maximum(1 - np.where(joins, distances, 2) / 2, 0)
    return np.where(joins, similarity**alpha, 0)[:, :held]
