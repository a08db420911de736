"""Scoring and re-ranking as the field's programs do them: whole matrices in NumPy's memory.

These are the peers of `benchmarks.score`. They need no JAX.
"""

from typing import NamedTuple

import numpy as np

RANKS = (1, 5, 10, 20)


class People(NamedTuple):
    """Whom M images show, and which camera took them: [M] whole numbers each."""

    identities: np.ndarray
    cameras: np.ndarray


def squared_distances(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Returns squared Euclidean distances [Q, G] in float32, by one matrix product."""
    distances = query @ gallery.T
    distances *= -2
    distances += np.einsum("qf,qf->q", query, query)[:, None]
    distances += np.einsum("gf,gf->g", gallery, gallery)
    return distances


def evaluate(distances: np.ndarray, query: People, gallery: People) -> dict[str, float]:
    """Returns mAP and CMC of distances [Q, G] by the Market-1501 protocol.

    Of equal distances the gallery's order decides. Each query has a match of another camera; the
    gallery has no junk.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    match = gallery.identities[order] == query.identities[:, None]
    kept = ~(match & (gallery.cameras[order] == query.cameras[:, None]))
    match &= kept
    rank = kept.cumsum(axis=1, dtype=np.int32)
    rows, columns = np.nonzero(match)
    counts = np.bincount(rows, minlength=len(match))
    starts = counts.cumsum() - counts
    ranks = rank[rows, columns]
    found = np.arange(len(rows)) - starts[rows] + 1
    precision = np.bincount(rows, found / ranks) / counts
    first = ranks[starts]
    return {"mAP": precision.mean()} | {f"rank{k}": (first <= k).mean() for k in RANKS}


def rerank(
    query: np.ndarray, gallery: np.ndarray, k1: int = 20, k2: int = 6, weight: float = 0.3
) -> np.ndarray:
    """Returns re-ranked distances [Q, G] (Zhong et al., CVPR 2017, arXiv 1701.08398).

    As the authors' program does it, in float32: matrices [N, N] of distances, their order and
    encodings, and loops over the images that find each member's set anew.
    """
    features = np.concatenate([query, gallery])
    distances = squared_distances(features, features)
    np.fill_diagonal(distances, 0)
    distances /= distances.max(axis=1, keepdims=True)
    order = np.argsort(distances, axis=1).astype(np.int32)
    encodings = encoded(distances, order, k1)
    original = distances[: len(query), len(query) :].copy()
    del distances
    averaged = np.empty_like(encodings)
    for image, neighbours in enumerate(order[:, :k2]):
        averaged[image] = encodings[neighbours].mean(axis=0)
    del encodings, order
    return (1 - weight) * jaccard(averaged, len(query)) + weight * original


def encoded(distances: np.ndarray, order: np.ndarray, k1: int) -> np.ndarray:
    """Returns [N, N] weights of each image's expanded k-reciprocal neighbours, 0 elsewhere."""
    encodings = np.zeros_like(distances)
    for image, row in enumerate(distances):
        members = reciprocal(order, image, k1)
        expanded = members
        for member in members:
            joining = reciprocal(order, member, round(k1 / 2))
            if 3 * len(np.intersect1d(joining, members)) > 2 * len(joining):
                expanded = np.append(expanded, joining)
        expanded = np.unique(expanded)
        weights = np.exp(-row[expanded])
        encodings[image, expanded] = weights / weights.sum()
    return encodings


def reciprocal(order: np.ndarray, image: int, count: int) -> np.ndarray:
    """Returns the images among the nearest of one that have it among their own nearest."""
    nearest = order[image, : count + 1]
    return nearest[(order[nearest, : count + 1] == image).any(axis=1)]


def jaccard(encodings: np.ndarray, queries: int) -> np.ndarray:
    """Returns Jaccard distances [Q, N - Q] of encodings [N, N] whose rows sum to 1."""
    images_of = [np.flatnonzero(column) for column in encodings.T]
    result = np.empty((queries, len(encodings) - queries), encodings.dtype)
    for row, own in enumerate(encodings[:queries]):
        least = np.zeros(len(encodings), encodings.dtype)
        for column in np.flatnonzero(own):
            images = images_of[column]
            least[images] += np.minimum(own[column], encodings[images, column])
        result[row] = 1 - least[queries:] / (2 - least[queries:])
    return result
