"""A network as StableHLO by jax.export: one file for CPU, CUDA and TPU, with its weights beside it.

It needs JAX to run, and nothing of this package.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.export.graph import Run, inputs_of
from dpeformer_jax.model.spec import NetworkSpec

NETWORK, WEIGHTS = "network.stablehlo", "weights.npz"
PLATFORMS = ("cpu", "cuda", "tpu")


def write(folder: Path, graph: Any, variables: Any, spec: NetworkSpec, fixed_size: bool) -> None:
    """Writes NETWORK, whose first argument are the arrays of WEIGHTS by their names.

    Raises:
        UserError: flatbuffers is missing.
    """
    try:
        import flatbuffers  # noqa: F401  (jax.export needs it and does not install it)
    except ModuleNotFoundError as error:
        raise UserError(
            "--format stablehlo needs flatbuffers: pip install 'dpeformer_jax[stablehlo]'"
        ) from error
    flat = flatten_dict(variables, sep="/")

    def call(weights: dict[str, jax.Array], *inputs: jax.Array) -> dict[str, jax.Array]:
        return graph(unflatten_dict(weights, sep="/"), *inputs)

    shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in flat.items()}
    exported = jax.export.export(jax.jit(call), platforms=PLATFORMS)(
        shapes, *inputs_of(spec, fixed_size)
    )
    (folder / NETWORK).write_bytes(exported.serialize())
    np.savez(folder / WEIGHTS, **flat)


def runner(folder: Path) -> Run:
    """Returns what runs the files: fn(images, camera_row) -> features by name."""
    exported = jax.export.deserialize(bytearray((folder / NETWORK).read_bytes()))
    with np.load(folder / WEIGHTS) as archive:
        weights = dict(archive)
    call = jax.jit(exported.call)
    return lambda *inputs: jax.device_get(call(weights, *inputs))
