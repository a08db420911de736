"""Where arrays lie: batches split over the devices, everything else on each of them."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def data_mesh() -> Mesh:
    """All devices along one axis, `data`."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_by_example(mesh: Mesh) -> NamedSharding:
    """The first axis spread over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def prefetch(batches: Iterable[Any], mesh: Mesh) -> Iterator[Any]:
    """Puts each host batch on the devices while the one before it is computed on."""
    sharding = split_by_example(mesh)
    ahead = None
    for batch in batches:
        current, ahead = ahead, jax.device_put(batch, sharding)
        if current is not None:
            yield current
    if ahead is not None:
        yield ahead
