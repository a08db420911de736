"""Images as sparse encodings by their reciprocal neighbours (Zhong et al., arXiv 1701.08398).

Two images are reciprocal neighbours if each is among the nearest of the other. N images have
sparse [N, N] arrays, of rows with some k1 entries.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy.sparse import csc_array, csr_array

from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import exact
from dpeformer_jax.retrieval.nearest import Nearest


def itself_first(found: Nearest) -> Nearest:
    """Puts each image before its copies, and the largest distance above 0 where all are copies."""
    places, image = found.places.copy(), np.arange(len(found.places))[:, None]
    places[~(places == image).any(axis=1), -1:] = image[~(places == image).any(axis=1)]
    order = np.argsort(places != image, axis=1, kind="stable")
    sorted_ = (np.take_along_axis(x, order, axis=1) for x in (places, found.distances))
    return Nearest(*sorted_, np.maximum(found.largest, np.finfo(np.float32).tiny))


def membership(neighbours: np.ndarray, values: np.ndarray | None = None) -> csr_array:
    """Returns [N, N] with values [N, K], or 1, where the column is a row's neighbour [N, K]."""
    total, count = neighbours.shape
    values = np.ones(neighbours.shape) if values is None else values
    starts = np.arange(0, neighbours.size + 1, count)
    parts = values.astype(np.float32).ravel(), neighbours.ravel(), starts
    return csr_array(parts, shape=(total, total))


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


def encode(images: Features, sets: csr_array, found: Nearest) -> csr_array:
    """Returns rows over the sets' members that fall with the distance and sum to 1.

    Distances are shares of the row's largest. Only members that joined may have unknown ones.
    """
    members = sets.astype(bool).astype(np.float32)
    closeness = np.exp(-found.distances / found.largest[:, None])
    known = membership(found.places, closeness).multiply(members).tocsr()
    unknown = (members - known.astype(bool)).tocoo()
    features = list(images.values())
    distances = exact(features, features, unknown.row, unknown.col)
    unknown.data = np.exp(-distances / found.largest[unknown.row]).astype(np.float32)
    encodings = (known + unknown.tocsr()).tocsr()
    encodings.data /= np.repeat(encodings.sum(axis=1), np.diff(encodings.indptr))
    return encodings


def jaccard_distances(query: csr_array, images_of: csc_array) -> Iterator[np.ndarray]:
    """Yields 1 - sum of minima / sum of maxima [G] of each query, for rows that sum to 1.

    query: [Q, N]; images_of: [G, N].
    """
    for start, end in pairwise(query.indptr):
        common = images_of[:, query.indices[start:end]]
        own = np.repeat(query.data[start:end], np.diff(common.indptr))
        least = np.bincount(common.indices, np.minimum(common.data, own), images_of.shape[0])
        yield 1 - least / (2 - least)  # since minima and maxima together sum to 2
