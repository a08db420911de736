"""Where arrays lie: batches split over the devices of all processes, everything else on each."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXIS = "data"


def data_mesh() -> Mesh:
    """All devices of all processes along one axis, `data`."""
    return jax.make_mesh((jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_by_example(mesh: Mesh) -> NamedSharding:
    """The first axis spread over the devices."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def own_places(mesh: Mesh, batch_size: int) -> np.ndarray:
    """The places in a global batch that this process loads, in order."""
    shares = split_by_example(mesh).addressable_devices_indices_map((batch_size,))
    return np.sort(np.concatenate([np.arange(batch_size)[share] for share in shares.values()]))


def prefetch(batches: Iterable[Any], mesh: Mesh) -> Iterator[Any]:
    """Puts each batch on the devices while the one before it is computed on.

    batches: of arrays [n, ...], of which a process gives those at its `own_places`.
    """
    sharding = split_by_example(mesh)
    ahead = None
    for batch in batches:
        current, ahead = (
            ahead,
            jax.tree.map(
                lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch
            ),
        )
        if current is not None:
            yield current
    if ahead is not None:
        yield ahead


def on_each(tree: Any, mesh: Mesh) -> Any:
    """Host arrays that every process has alike, whole on every device.

    jax.device_put would compare the processes' copies first, for which each gathers all of them.
    """
    sharding = replicated(mesh)
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x), x.shape), tree
    )


def on_all_devices(tree: Any, mesh: Mesh) -> Any:
    """Arrays that every process holds alike as global arrays, without a copy."""
    sharding = replicated(mesh)

    def join(x: jax.Array) -> jax.Array:
        pieces = [shard.data for shard in x.addressable_shards]
        return jax.make_array_from_single_device_arrays(x.shape, sharding, pieces)

    return jax.tree.map(join, tree)
