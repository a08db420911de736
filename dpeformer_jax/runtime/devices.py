"""Places arrays on devices: batches split over all of them, everything else whole on each."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dpeformer_jax.base.errors import UserError

AXIS = "data"


def data_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """Returns a mesh of the devices along one axis, `data`; None takes those of all processes."""
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding that puts the whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_by_example(mesh: Mesh) -> NamedSharding:
    """Returns the sharding that spreads the first axis over the devices."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def within(mesh: Mesh, program: Callable[..., Any]) -> Callable[..., Any]:
    """Tells a program's kernels the devices that it is spread over, which XLA finds out itself."""

    @functools.wraps(program)
    def told(*args: Any, **named: Any) -> Any:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return program(*args, **named)

    return told


def own_places(mesh: Mesh, batch_size: int) -> np.ndarray:
    """Returns the places in a global batch that this process loads, in order."""
    shares = split_by_example(mesh).addressable_devices_indices_map((batch_size,))
    return np.sort(np.concatenate([np.arange(batch_size)[share] for share in shares.values()]))


def prefetch(batches: Iterable[Any], mesh: Mesh) -> Iterator[Any]:
    """Puts each batch on the devices while the one before it is computed on.

    batches: trees of arrays [n, ...], the part of each batch at this process's `own_places`.
    """
    sharding = split_by_example(mesh)

    def place(x: Any) -> jax.Array:
        return jax.make_array_from_process_local_data(sharding, np.asarray(x))

    placed = (jax.tree.map(place, batch) for batch in batches)
    for batch, _ in itertools.pairwise(itertools.chain(placed, [None])):
        yield batch


def on_each(tree: Any, mesh: Mesh) -> Any:
    """Puts host arrays, which every process has alike, whole on every device.

    jax.device_put would first compare the processes' copies, for which each gathers all of them.
    """
    sharding = replicated(mesh)
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x), x.shape), tree
    )


def on_all_devices(tree: Any, mesh: Mesh) -> Any:
    """Makes arrays that every process holds alike into global arrays, without a copy."""
    sharding = replicated(mesh)

    def join(x: jax.Array) -> jax.Array:
        pieces = [shard.data for shard in x.addressable_shards]
        return jax.make_array_from_single_device_arrays(x.shape, sharding, pieces)

    return jax.tree.map(join, tree)


@contextlib.contextmanager
def memory_explained() -> Iterator[None]:
    """Turns XLA's error about memory into a UserError that lists what helps, by its cost."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            f"the devices' memory is too small: {str(error).splitlines()[0]} In training try "
            "--config.data.cache=auto where it is 'device', then --config.model.dtype=bfloat16, "
            "then --config.train.microbatches=2 or more, then --config.model.remat=True, which "
            "leave the step's batch as it is; last a smaller --config.train.batch_size. In scoring "
            "lower --config.eval.batch_size. A bank of cut-outs (config.views.occluders) lies "
            "there too"
        ) from error
