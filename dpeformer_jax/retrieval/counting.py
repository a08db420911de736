"""Counts, block by block, how many impostors are nearer to a query than each of its matches.

An impostor of a query is a gallery image of somebody else. The devices count what float32 makes
certain, and tell which pairs it leaves open. The host decides these in float64 while the devices
count the next block.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from dpeformer_jax.base.progress import progress
from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import (
    Targets,
    centre_of,
    centred,
    exact,
    finite,
    gallery_blocks,
    padded,
    query_places,
    squared,
)
from dpeformer_jax.runtime.devices import AXIS, on_each

BINS = 2**16  # of the histogram of impostor distances
KEYS_AT_ONCE = 16  # that one pass over a block compares with
COMPARED_AT_ONCE = 2**20  # open pairs x keys


class Keys(NamedTuple):
    """The matches of Q queries in their order, by distance and then by gallery place.

    distances: [Q, T] float64; places: [Q, T]. T is a multiple of KEYS_AT_ONCE, and each row ends
    with at least one infinite distance, which is no match.
    """

    distances: np.ndarray
    places: np.ndarray


class Side(NamedTuple):
    """Queries or a gallery: features [M, F] by name, and who they show: [M] int32, -1 for junk."""

    features: Features
    people: np.ndarray


class Found(NamedTuple):
    """What one block of queries meets in one of the gallery, for one target.

    tally: [q, T] impostors that surely have so many keys before them; histogram: [BINS] impostors
    by distance; error: the largest of an impostor's distance; undecided: [q, g] bool, impostors
    that are in no tally.
    """

    tally: jax.Array
    histogram: jax.Array
    error: jax.Array
    undecided: jax.Array


class Counter:
    """Counts the impostors of queries in a gallery, or in a share of one.

    nearer: [Q, T] by target, impostors before each key; histogram: [BINS] by target, impostors by
    distance, int64 both; error: by target, the largest of a distance in the histogram.
    """

    def __init__(
        self,
        query: Side,
        keys: Mapping[str, Keys],
        targets: Targets,
        bin_widths: Mapping[str, float],
        mesh: Mesh,
    ):
        """Takes the queries and, by target, their keys.

        Args:
            targets: the members of each target.
            bin_widths: of the histograms, whose last bin takes all larger distances too.
            mesh: devices of this process.
        """
        self._query, self._keys, self._targets = query, keys, targets
        self._bin_widths, self._mesh = bin_widths, mesh
        self._tallies = {name: np.zeros(of.distances.shape, np.int64) for name, of in keys.items()}
        self.histogram = {name: np.zeros(BINS, np.int64) for name in keys}
        self.error = dict.fromkeys(keys, 0.0)

    @property
    def nearer(self) -> dict[str, np.ndarray]:
        """Returns how many impostors so far are before each key: [Q, T] int64 by target.

        It is 0 where the key's distance is infinite.
        """
        # An impostor with so many keys before it is nearer than all keys after these.
        return {
            name: np.where(np.isfinite(self._keys[name].distances), tally.cumsum(axis=1), 0)
            for name, tally in self._tallies.items()
        }

    def add(self, gallery: Side, places: np.ndarray, memory_mb: int, title: str = "") -> None:
        """Counts a gallery's images.

        Args:
            places: [G] of these images in the whole gallery, which order equal distances.
            memory_mb: see `gallery_blocks`.
            title: of the progress bar, "" for none.
        """
        with progress(title=title, unit="image", total=len(places)) as bar:
            computed = itertools.chain(self._blocks(gallery, memory_mb), [None])
            for (rows, columns, found), _ in itertools.pairwise(computed):
                for name, of_target in found.items():
                    self._tallies[name][rows] += np.asarray(of_target.tally)[: _length(rows)]
                    self.histogram[name] += np.asarray(of_target.histogram)
                    self.error[name] = max(self.error[name], float(of_target.error))
                    row, column = _places_of(np.asarray(of_target.undecided))
                    self._decide(name, gallery, places, row + rows.start, column + columns.start)
                bar.update(columns.stop - bar.n)

    def _blocks(
        self, gallery: Side, memory_mb: int
    ) -> Iterator[tuple[slice, slice, dict[str, Found]]]:
        """Yields the places of queries and of gallery images, and what they meet, by target."""
        meet = _meeting(self._mesh, tuple(self._targets.items()))
        centre = centre_of(self._query.features)
        parts = query_places(len(self._query.people))
        queries = [self._placed(rows, _length(parts[0]), centre) for rows in parts]
        for columns, block in gallery_blocks(gallery.features, self._mesh, memory_mb):
            size = len(next(iter(block.values())))
            people = padded(gallery.people[columns], size, -1)
            others = {"features": centred(block, centre), "people": people}
            for rows, ours in zip(parts, queries, strict=True):
                yield rows, columns, meet(others, ours)

    def _placed(self, rows: slice, size: int, centre: Features) -> dict[str, Any]:
        """Returns on the devices all that is of a block of queries, padded to a size."""
        features = {n: padded(finite(x[rows]), size) for n, x in self._query.features.items()}
        keys = {
            name: padded(of.distances[rows].astype(np.float32), size, np.inf)
            for name, of in self._keys.items()
        }
        widths = {name: np.float32(width) for name, width in self._bin_widths.items()}
        people = padded(self._query.people[rows], size, -1)
        block = {"features": features, "people": people, "keys": keys, "bin_widths": widths}
        block = on_each(block, self._mesh)
        return block | {"features": centred(block["features"], centre)}

    def _decide(
        self, name: str, gallery: Side, places: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> None:
        """Tallies pairs whose order float32 leaves open."""
        query, others = (
            [side.features[member] for member in self._targets[name]]
            for side in (self._query, gallery)
        )
        keys, distances = self._keys[name], exact(query, others, rows, columns)
        step = max(COMPARED_AT_ONCE // keys.places.shape[1], 1)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            row, distance = rows[part], distances[part, None]
            own, place = keys.distances[row], places[columns[part], None]
            before = (own < distance) | ((own == distance) & (keys.places[row] < place))
            np.add.at(self._tallies[name], (row, before.sum(axis=1)), 1)


@functools.lru_cache(maxsize=8)
def _meeting(
    mesh: Mesh, targets: tuple[tuple[str, tuple[str, ...]], ...]
) -> Callable[[Any, Any], dict[str, Found]]:
    """Returns the program that counts one block; the devices share the gallery's images."""

    def meet(gallery: dict[str, Any], query: dict[str, Any]) -> dict[str, Found]:
        people, shown = query["people"][:, None], gallery["people"]
        impostor = (people != shown) & (people >= 0) & (shown >= 0)
        members = {
            name: squared(ours, gallery["features"][name])
            for name, ours in query["features"].items()
        }
        found = {}
        for name, of in targets:
            distance, error = (sum(members[m][i] for m in of) / len(of) for i in range(2))
            keys, bin_width = query["keys"][name], query["bin_widths"][name]
            found[name] = _count(distance, error, impostor, keys, bin_width)
        return found

    split, whole = PartitionSpec(AXIS), PartitionSpec()
    counted = Found(whole, whole, whole, PartitionSpec(None, AXIS))
    specs = {"in_specs": (split, whole), "out_specs": {name: counted for name, _ in targets}}
    return jax.jit(jax.shard_map(meet, mesh=mesh, **specs))


def _count(
    distance: jax.Array,
    error: jax.Array,
    impostor: jax.Array,
    keys: jax.Array,
    bin_width: jax.Array,
) -> Found:
    """Counts a device's part of a block: [q, g] and keys [q, T]."""
    queries, size = keys.shape
    rows = jnp.arange(queries)[:, None]
    # Without a barrier XLA computes these anew for each of their uses on a CPU.
    distance, error, impostor = jax.lax.optimization_barrier((distance, error, impostor))
    before, close = among(keys, distance - error, distance + error)
    undecided = impostor & close
    # What is no impostor, or undecided, is tallied after the last key, where nobody reads it.
    place = jnp.where(impostor & ~undecided, before, size - 1)
    tally = jnp.zeros((queries, size), jnp.int32).at[rows, place].add(1)
    bins = jnp.clip(distance / bin_width, 0, BINS - 1).astype(jnp.int32)
    histogram = jnp.zeros(BINS, jnp.int32).at[bins].add(impostor)
    largest = jnp.max(jnp.where(impostor, error, 0))
    tally, histogram = jax.lax.psum((tally, histogram), AXIS)
    return Found(tally, histogram, jax.lax.pmax(largest, AXIS), undecided)


def among(keys: jax.Array, low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns how many keys of its row are below `low`, and whether one lies from low to high.

    Comparing with each key takes half as long as a search by halves on a CPU, which must gather.

    Args:
        keys: [q, T], T a multiple of KEYS_AT_ONCE; low, high: [q, g].

    Returns:
        [q, g] int32 and [q, g] bool.
    """

    def compare(i: jax.Array, found: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        count, close = found
        columns = jax.lax.dynamic_slice_in_dim(keys, i * KEYS_AT_ONCE, KEYS_AT_ONCE, axis=1)
        for key in jnp.split(columns, KEYS_AT_ONCE, axis=1):
            below = key < low
            count, close = count + below, close | (below ^ (key <= high))
        return count, close

    start = jnp.zeros_like(low, jnp.int32), jnp.zeros_like(low, bool)
    return jax.lax.fori_loop(0, keys.shape[1] // KEYS_AT_ONCE, compare, start)


def _length(places: slice) -> int:
    return places.stop - places.start


def _places_of(marked: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns np.nonzero of [q, g] bool, several times as fast."""
    return np.unravel_index(np.flatnonzero(marked), marked.shape)
