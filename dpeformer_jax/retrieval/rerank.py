"""k-reciprocal re-ranking (Zhong et al., CVPR 2017, arXiv 1701.08398).

Two images are near if they have the same neighbours. Each image is encoded by its reciprocal
neighbours (reciprocal.py), and encodings are compared by their Jaccard distance. No array has a row
and a column for every image, nor for every query and gallery image.
"""

import itertools
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh
from scipy.sparse import csr_array

from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import (
    MEMORY_MB,
    QUERIES_AT_ONCE,
    Centred,
    centre_of,
    centred,
    gallery_blocks,
    mean_squared,
    padded,
)
from dpeformer_jax.retrieval.nearest import nearest
from dpeformer_jax.retrieval.reciprocal import (
    encode,
    itself_first,
    jaccard_distances,
    membership,
    reciprocal_sets,
)
from dpeformer_jax.runtime.devices import data_mesh

# Named k1-k2. The field's usual settings: of the paper for Market-1501, and of stronger networks.
PRESETS = {
    "20-6": {"k1": 20, "k2": 6, "weight": 0.3},
    "50-15": {"k1": 50, "k2": 15, "weight": 0.3},
}


def rerank(
    query: np.ndarray, gallery: np.ndarray, k1: int = 20, k2: int = 6, weight: float = 0.3
) -> np.ndarray:
    """Returns all distances [Q, G] of features [Q, F] and [G, F] at once: see `rerank_rows`."""
    sides = ({"feature": np.asarray(side, np.float32)} for side in (query, gallery))
    return np.concatenate([rows for _, rows in rerank_rows(*sides, k1, k2, weight)])


def rerank_rows(
    query: Features,
    gallery: Features,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    *,
    mesh: Mesh | None = None,
    memory_mb: int = MEMORY_MB,
    title: str = "",
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields (places of queries, their distances [q, G], float32 from 0 to 1) block by block.

    Args:
        query, gallery: [Q, F] and [G, F] by name, float32 or float16; squared distances are the
            mean over the features. A result depends on all images, not on its two alone.
        k1: number of neighbours, besides the image itself, that may encode it.
        k2: number of nearest images, itself included, whose encodings are averaged.
        weight: of the squared Euclidean distance, as a share of the query's largest. The Jaccard
            distance has the rest.
        mesh: of devices of this process; None: all of them.
        memory_mb: that blocks may take, besides a copy of the features and some k1 numbers an
            image.
        title: of the progress bar, "" for none.

    Raises:
        ValueError: k1 or k2 is below 1, the weight not between 0 and 1, a feature not finite, or
            there is no query or no gallery image.
    """
    if min(k1, k2) < 1 or not 0 <= weight <= 1:
        raise ValueError(
            f"k1 = {k1} and k2 = {k2} must be at least 1, weight = {weight} between 0 and 1"
        )
    queries, others = (len(next(iter(side.values()))) for side in (query, gallery))
    if not queries or not others:
        raise ValueError(
            f"re-ranking {others} gallery images for {queries} queries: there must be at least "
            "one of each"
        )
    mesh = data_mesh(jax.local_devices()) if mesh is None else mesh
    images = {name: np.concatenate([query[name], gallery[name]]) for name in query}
    count = max(k1 + 1, k2)
    found = nearest(images, images, count, mesh=mesh, memory_mb=memory_mb, title=title)
    found = itself_first(found)
    encodings = encode(images, reciprocal_sets(found.places, k1), found)
    averaged = found.places[:, :k2]
    encodings = membership(averaged) @ encodings / averaged.shape[1]
    return _combined(query, gallery, encodings, found.largest[:queries], weight, mesh, memory_mb)


def _combined(
    query: Features,
    gallery: Features,
    encodings: csr_array,
    largest: np.ndarray,
    weight: float,
    mesh: Mesh,
    memory_mb: int,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields the distances of the encodings, and the Euclidean ones as shares of the largest."""
    images_of = encodings[len(largest) :].tocsc()
    for part, distances in _distance_rows(query, gallery, mesh, memory_mb):
        distances *= weight / largest[part, None]
        for row, jaccard in zip(
            distances, jaccard_distances(encodings[part], images_of), strict=True
        ):
            row += (1 - weight) * jaccard
        yield part, distances


def _distance_rows(
    query: Features, gallery: Features, mesh: Mesh, memory_mb: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields (places of queries, their squared Euclidean distances [q, G]) block by block."""
    queries, images = (len(next(iter(side.values()))) for side in (query, gallery))
    half = memory_mb * 2**19
    step = min(max(half // (4 * images), 1), 2 * QUERIES_AT_ONCE, queries)
    centre = centre_of(gallery)
    for start in range(0, queries, step):
        part = slice(start, min(start + step, queries))
        ours = centred({n: padded(x[part], step) for n, x in query.items()}, centre)
        distances = np.empty((part.stop - start, images), np.float32)
        found = (
            (columns, _distances(ours, centred(block, centre)))
            for columns, block in gallery_blocks(gallery, mesh, memory_mb)
        )
        for (columns, values), _ in itertools.pairwise(itertools.chain(found, [None])):
            rows = np.asarray(values)[: len(distances), : columns.stop - columns.start]
            distances[:, columns] = rows
        yield part, np.maximum(distances, 0, out=distances)


@jax.jit
def _distances(query: dict[str, Centred], gallery: dict[str, Centred]) -> jax.Array:
    return mean_squared(query, gallery)[0]
