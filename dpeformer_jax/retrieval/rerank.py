"""k-reciprocal re-ranking (Zhong et al., CVPR 2017, arXiv 1701.08398).

Two images are near if they have the same neighbours. Each image is encoded by its reciprocal
neighbours: each of the two is among the nearest of the other. Encodings are compared by their
Jaccard distance. No array has a row and a column for every image.
"""

from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from dpeformer_jax.base.progress import progress
from dpeformer_jax.retrieval.metrics import squared_distances

ROWS_AT_ONCE = 256  # so that the distances of 20,000 images take some 0.15 GB


def rerank(
    query: np.ndarray, gallery: np.ndarray, k1: int = 20, k2: int = 6, weight: float = 0.3
) -> np.ndarray:
    """Returns distances [Q, G], float32 from 0 to 1, of features [Q, F] and [G, F].

    Args:
        query, gallery: a distance depends on all of them, not on its two images alone.
        k1: number of neighbours, besides the image itself, that may encode it.
        k2: number of nearest images, itself included, whose encodings are averaged.
        weight: of the squared Euclidean distance, as a share of the query's largest. The Jaccard
            distance has the rest.

    Raises:
        ValueError: k1 or k2 is below 1, the weight not between 0 and 1, a feature not finite.
    """
    if min(k1, k2) < 1 or not 0 <= weight <= 1:
        raise ValueError(
            f"k1 = {k1} and k2 = {k2} must be at least 1, weight = {weight} between 0 and 1"
        )
    features = np.concatenate([query, gallery], dtype=np.float32)
    neighbours, largest = nearest(features, max(k1 + 1, k2))
    if not np.isfinite(largest).all():
        raise ValueError("the features of an image are not finite numbers")
    encodings = encode(features, reciprocal_sets(neighbours, k1), largest)
    averaged = neighbours[:, :k2]
    encodings = membership(averaged) @ encodings / averaged.shape[1]
    result = jaccard_distances(encodings[: len(query)], encodings[len(query) :])
    result *= 1 - weight
    for part in _parts(len(query)):
        original = squared_distances(features[part], features[len(query) :])
        result[part] += weight * original / largest[part, None]
    return result


def nearest(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns each row's nearest rows [N, min(count, N)], itself first, and largest distance [N].

    Distances are squared Euclidean; among equal ones the order of the rows decides.
    """
    total = len(features)
    count = min(count, total)
    neighbours = np.empty((total, count), np.int64)
    largest = np.empty(total, np.float32)
    place = 1j * np.arange(total, dtype=np.float32)
    for part in progress(_parts(total), title="re-ranking", unit="chunk"):
        distances = np.maximum(squared_distances(features[part], features), 0)
        largest[part] = distances.max(axis=1)
        rows = np.arange(len(distances))
        distances[rows, part.start + rows] = -1  # itself, before any copy of it
        keys = distances + place  # complex numbers: where the real parts are equal, places decide
        keys.partition(count - 1, axis=1)
        neighbours[part] = np.sort(keys[:, :count], axis=1).imag
    return neighbours, np.maximum(largest, np.finfo(np.float32).tiny)  # 0 where all are copies


def membership(neighbours: np.ndarray) -> csr_array:
    """Returns [N, N] with 1 where the column is among the row's neighbours [N, K]."""
    total, count = neighbours.shape
    ones = np.ones(neighbours.size, np.float32)
    starts = np.arange(0, neighbours.size + 1, count)
    return csr_array((ones, neighbours.ravel(), starts), shape=(total, total))


def mutual(neighbours: np.ndarray) -> csr_array:
    """Returns [N, N] with 1 where row and column are each other's neighbours [N, K]."""
    members = membership(neighbours)
    return members.multiply(members.T).tocsr()


def reciprocal_sets(neighbours: np.ndarray, k1: int) -> csr_array:
    """Returns [N, N], not 0 where the column is in the row's expanded k1-reciprocal set.

    A member's own set, of half the k1, joins where more than 2/3 of it are members already.
    """
    sets = mutual(neighbours[:, : k1 + 1])
    halves = mutual(neighbours[:, : round(k1 / 2) + 1])
    shared = (sets @ halves.T).multiply(sets)  # how many of a member's set are members
    joins = 3 * shared > 2 * sets.multiply(halves.sum(axis=1))
    return sets + joins @ halves


def encode(features: np.ndarray, sets: csr_array, largest: np.ndarray) -> csr_array:
    """Returns rows over the sets' members that fall with the distance and sum to 1.

    Distances are shares of the row's `largest`. They are computed anew, for sets have few members,
    and a member that joined need not be among the row's neighbours.
    """
    values = np.empty(sets.nnz, np.float32)
    for row, (start, end) in enumerate(pairwise(sets.indptr)):
        members = features[sets.indices[start:end]]
        distances = squared_distances(features[row : row + 1], members)[0]
        closeness = np.exp(-distances / largest[row])
        values[start:end] = closeness / closeness.sum()
    return csr_array((values, sets.indices, sets.indptr), shape=sets.shape)


def jaccard_distances(query: csr_array, gallery: csr_array) -> np.ndarray:
    """Returns 1 - sum of minima / sum of maxima [Q, G], of rows [Q, N], [G, N] that sum to 1."""
    images_of = gallery.tocsc()
    result = np.empty((query.shape[0], gallery.shape[0]), np.float32)
    for row, (start, end) in enumerate(pairwise(query.indptr)):
        common = images_of[:, query.indices[start:end]]
        own = np.repeat(query.data[start:end], np.diff(common.indptr))
        least = np.bincount(common.indices, np.minimum(common.data, own), gallery.shape[0])
        result[row] = 1 - least / (2 - least)  # since minima and maxima together sum to 2
    return result


def _parts(total: int) -> list[slice]:
    return [slice(i, min(i + ROWS_AT_ONCE, total)) for i in range(0, total, ROWS_AT_ONCE)]
