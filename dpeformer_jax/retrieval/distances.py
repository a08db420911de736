"""Squared Euclidean distances of features: fast on the devices, exact on the host.

The devices compute blocks in float32, with a bound of the error. The host computes single pairs in
float64 from the stored numbers. Where the bound leaves an order open, the exact distances decide
it, so that an order is the same on every platform, for every block size and number of devices.

CONCAT has no array of its own: its distance is the mean of its members' distances.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.features import CONCAT, Features, joined_by_concat
from dpeformer_jax.runtime.devices import prefetch

PAIRS_AT_ONCE = 32  # so that the rows of exact distances stay in the processor's cache
QUERIES_AT_ONCE = 1024
MB = 2**20
MEMORY_MB = 128  # that blocks may take where nobody says otherwise
LONGEST = 1e18  # length of a feature, whose square float32 holds with room for a distance

Targets = Mapping[str, tuple[str, ...]]  # what is ranked: name -> names of the features it is of


def targets_of(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Returns each feature as a target of its own, and CONCAT with those that it joins."""
    alone = {name: (name,) for name in names}
    members = joined_by_concat(alone)
    return alone | {CONCAT: members} if members else alone


def exact(
    query: Sequence[np.ndarray],
    gallery: Sequence[np.ndarray],
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Returns the distances [P] of pairs in float64, each the mean over the members.

    Args:
        query, gallery: the members' features, [Q, F] and [G, F] each.
        rows, columns: [P] places of the pairs in query and gallery.
    """
    result = np.zeros(len(rows))
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        for ours, others in zip(query, gallery, strict=True):
            difference = np.subtract(ours[rows[part]], others[columns[part]], dtype=np.float64)
            # Not einsum, whose order of adding depends on the number of pairs where F > 8192.
            result[part] += np.square(difference, out=difference).sum(axis=1)
    return result / len(query)


def centre_of(features: Features) -> Features:
    """Returns the mean [F] of each feature in float32.

    Distances stay what they are when it is subtracted, and rounding errors shrink with the norms.
    """
    return {n: x.mean(axis=0, dtype=np.float64).astype(np.float32) for n, x in features.items()}


class Centred(NamedTuple):
    """A feature on the devices, without its centre: [M, F] float32; norms: [M], squared."""

    features: jax.Array
    norms: jax.Array


@jax.jit
def centred(features: Mapping[str, jax.Array], centre: Features) -> dict[str, Centred]:
    """Subtracts the centre of each feature.

    A program of its own, for within that of the distances XLA would compute the norms anew for
    each pair on a CPU, which takes as long as the distances.
    """
    parts = {n: features[n].astype(jnp.float32) - middle for n, middle in centre.items()}
    return {n: Centred(x, jnp.sum(x**2, axis=1)) for n, x in parts.items()}


def squared(query: Centred, gallery: Centred) -> tuple[jax.Array, jax.Array]:
    """Returns the distances [Q, G] of one feature, and what bounds their error."""
    scale = query.norms[:, None] + gallery.norms
    product = jnp.matmul(query.features, gallery.features.T, precision=jax.lax.Precision.HIGHEST)
    return scale - 2 * product, error_bound(query.features.shape[1]) * scale


def mean_squared(
    query: Mapping[str, Centred], gallery: Mapping[str, Centred]
) -> tuple[jax.Array, jax.Array]:
    """Returns the distances [Q, G], the mean over the features, and what bounds their error."""
    found = [squared(query[name], gallery[name]) for name in query]
    distance, error = (sum(part) / len(found) for part in zip(*found, strict=True))
    return distance, error


def error_bound(width: int) -> float:
    """Returns the bound of a distance's error, as a share of |q|^2 + |g|^2 of [width] features.

    Rounding errors of a sum of F terms grow with the root of F (Higham and Mary, SIAM J. Sci.
    Comput. 41(5), 2019). The factor 4 is for the three sums; the errors measured are below a
    quarter of the bound (tests/test_distances.py). Features whose terms all round alike can exceed
    it: the same number in every place does, threefold where F is 3072.
    """
    return (4 * math.sqrt(width) + 16) * 2.0**-24


def query_places(total: int) -> list[slice]:
    """Divides queries into blocks of at most QUERIES_AT_ONCE; all but the last have one size."""
    size = -(-total // -(-total // QUERIES_AT_ONCE))
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def gallery_blocks(
    gallery: Features, mesh: Mesh, memory_mb: int
) -> Iterator[tuple[slice, dict[str, jax.Array]]]:
    """Yields (places, features [g, F] by name) of a gallery block by block, split over the mesh.

    All blocks have one size, which keeps what `squared` needs within memory_mb. The last one is
    padded with zeros. The next block travels while this one is computed on.

    Args:
        gallery: [G, F] by name, float32 or float16.
        mesh: of devices of this process.
    """
    total = len(next(iter(gallery.values())))
    width = sum(x.shape[1] for x in gallery.values())
    # Copies of blocks, distances, and as much again that allocators keep: measured.
    row_bytes = 64 * width + 128 * QUERIES_AT_ONCE
    size = min(memory_mb * MB // row_bytes, total)
    size = -(-max(size, 1) // mesh.size) * mesh.size
    places = [slice(start, min(start + size, total)) for start in range(0, total, size)]
    blocks = ({n: padded(finite(x[p]), size) for n, x in gallery.items()} for p in places)
    yield from zip(places, prefetch(blocks, mesh), strict=True)


def padded(x: np.ndarray, size: int, fill: float = 0) -> np.ndarray:
    """Returns [size, ...]: the rows of x, and then rows of a number."""
    missing = [(0, size - len(x)), *[(0, 0)] * (x.ndim - 1)]
    return np.pad(x, missing, constant_values=fill) if len(x) < size else x


def finite(features: np.ndarray) -> np.ndarray:
    """Returns features [M, F]; raises UserError where one is no number, or longer than LONGEST."""
    with np.errstate(over="ignore", invalid="ignore"):
        sides = features, features
        squares = np.einsum("mf,mf->m", *sides, dtype=np.float32, casting="same_kind")
    if not (squares <= LONGEST**2).all():
        raise UserError(
            "an image's features are not finite numbers, or their length is above "
            f"{LONGEST:g}. The network's training diverged, or its weights are damaged. Take "
            "another checkpoint, or train again with a smaller config.optim.lr."
        )
    return features


def largest_distance(query: Sequence[np.ndarray], gallery: Sequence[np.ndarray]) -> float:
    """Returns a bound of the distances of the members' features, [Q, F] and [G, F] each."""
    bounds = [(_longest(q) + _longest(g)) ** 2 for q, g in zip(query, gallery, strict=True)]
    return float(np.mean(bounds))


def _longest(features: np.ndarray) -> float:
    parts = (features[i : i + 1024].astype(np.float32) for i in range(0, len(features), 1024))
    return max((float(np.linalg.norm(part, axis=1).max()) for part in parts), default=0.0)
