"""A running top-k of float32 distances on the devices, block of images by block of images."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from dpeformer_jax.base.progress import progress
from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import (
    Centred,
    centre_of,
    centred,
    finite,
    mean_squared,
    padded,
)
from dpeformer_jax.runtime.devices import prefetch, split_by_example

BLOCK = 1024  # images, where memory allows it
HELD = 4  # blocks of queries, which meet a block of the gallery while it is on the devices


class Seen(NamedTuple):
    """What Q images have met so far of those that they are compared with.

    nearness: [Q, K] the smallest distances, negated, in descending order; of equal ones the first
    places. places: [Q, K] int32 of these; largest: [Q] distance; error: [Q], bound of the error of
    all their distances.
    """

    nearness: Any
    places: Any
    largest: Any
    error: Any


class Block(NamedTuple):
    """Images on the devices: which block of its side, first place and end, features by name."""

    number: int
    ends: tuple[int, int]
    features: dict[str, Centred]


def scan(
    query: Features, gallery: Features, kept: int, mesh: Mesh, memory_mb: int, title: str = ""
) -> Seen:
    """Compares all pairs of [Q, F] and [G, F], and keeps so many of each query; NumPy arrays.

    If `query` is the very object `gallery`, each pair is computed once for both of its images.
    """
    itself = query is gallery
    totals = [len(next(iter(side.values()))) for side in (query, gallery)]
    row_bytes = (16 + 4 * HELD) * sum(x.shape[1] for x in gallery.values()) + 16 * BLOCK
    sizes = [_block_size(total, memory_mb * 2**20 // row_bytes, mesh) for total in totals]
    counts = [-(-total // size) for total, size in zip(totals, sizes, strict=True)]
    total = counts[0] * (counts[0] + 1) // 2 if itself else counts[0] * counts[1]
    seen = [_nothing(sizes[0], kept, mesh)] * counts[0]
    tiles, meet = _tiles(query, gallery, sizes, mesh), _meeting(mesh)
    for ours, others in progress(tiles, title=title, unit="block", total=total):
        mirrored = itself and ours.number < others.number
        jax.block_until_ready(seen[ours.number])  # else blocks pile up that wait for the devices
        theirs = seen[others.number] if mirrored else None
        seen[ours.number], theirs = meet(*ours[1:], *others[1:], seen[ours.number], theirs)
        if mirrored:
            seen[others.number] = theirs
    return Seen(*(np.concatenate(x)[: totals[0]] for x in zip(*jax.device_get(seen), strict=True)))


def _nothing(size: int, kept: int, mesh: Mesh) -> Seen:
    nearness, places = np.full((size, kept), -np.inf, np.float32), np.zeros((size, kept), np.int32)
    seen = Seen(nearness, places, *np.zeros((2, size), np.float32))
    return jax.device_put(seen, split_by_example(mesh))


def _block_size(total: int, most: int, mesh: Mesh) -> int:
    """Returns the size of blocks that divide so many images evenly."""
    blocks = -(-total // max(min(most, BLOCK), 1))
    return -(-total // (blocks * mesh.size)) * mesh.size


def _tiles(
    query: Features, gallery: Features, sizes: list[int], mesh: Mesh
) -> Iterator[tuple[Block, Block]]:
    """Yields blocks of queries and of the gallery, each pair once; of one side, in one order."""
    centre, itself = centre_of(gallery), query is gallery
    total = len(next(iter(query.values())))
    for first in range(0, -(-total // sizes[0]), HELD):
        held = list(_blocks(query, centre, sizes[0], mesh, first, first + HELD))
        for others in _blocks(gallery, centre, sizes[1], mesh, first if itself else 0):
            yield from ((x, others) for x in held if not itself or x.number <= others.number)


def _blocks(
    features: Features, centre: Features, size: int, mesh: Mesh, first: int, end: int | None = None
) -> Iterator[Block]:
    """Yields blocks of one size by their numbers; the last is padded with zeros."""
    total = len(next(iter(features.values())))
    numbers = range(first, min(-(-total // size), end or total))
    ends = [(number * size, min((number + 1) * size, total)) for number in numbers]
    blocks = ({n: padded(finite(x[slice(*e)]), size) for n, x in features.items()} for e in ends)
    for number, places, block in zip(numbers, ends, prefetch(blocks, mesh), strict=True):
        yield Block(number, places, centred(block, centre))


@functools.lru_cache(maxsize=8)
def _meeting(mesh: Mesh) -> Callable[..., tuple[Seen, Seen | None]]:
    """Returns the program `_meet`, with each image's row whole on one of the devices."""
    return jax.jit(functools.partial(_meet, mesh), out_shardings=split_by_example(mesh))


def _meet(
    mesh: Mesh,
    rows_ends: tuple[int, int],
    rows: dict[str, Centred],
    columns_ends: tuple[int, int],
    columns: dict[str, Centred],
    ours: Seen,
    theirs: Seen | None,
) -> tuple[Seen, Seen | None]:
    """Shows the columns to the rows and, where `theirs` is what these saw, the rows to them."""
    distance, error = mean_squared(rows, columns)
    ours = _show(ours, distance, error, *columns_ends, mesh)
    return ours, theirs and _show(theirs, distance.T, error.T, *rows_ends, mesh)


def _show(
    seen: Seen, distance: jax.Array, error: jax.Array, start: int, stop: int, mesh: Mesh
) -> Seen:
    """Adds the images from start to stop, whose distances are the first columns of [B, B']."""
    # Each row whole on one device, so that top_k sees the places of equal ones in their order.
    distance = jax.lax.with_sharding_constraint(distance, split_by_example(mesh))
    real, kept = start + jnp.arange(distance.shape[1]) < stop, seen.places.shape[1]
    # What was seen comes first: a CPU then finds few of the new ones worth keeping.
    nearness = jnp.concatenate([seen.nearness, jnp.where(real, -distance, -jnp.inf)], axis=1)
    nearness, best = jax.lax.top_k(nearness, kept)
    known = jnp.take_along_axis(seen.places, jnp.minimum(best, kept - 1), axis=1)
    return Seen(
        nearness,
        jnp.where(best < kept, known, start + best - kept),
        jnp.maximum(seen.largest, jnp.max(distance, axis=1, initial=0, where=real)),
        jnp.maximum(seen.error, jnp.max(error, axis=1, initial=0, where=real)),
    )
