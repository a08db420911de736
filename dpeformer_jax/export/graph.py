"""The function that is exported: from pictures to named features."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.export.resizing import resized
from dpeformer_jax.features import at_unit_length, forward_of
from dpeformer_jax.model.families import build_network
from dpeformer_jax.model.pixels import from_uint8, normalize_pixels
from dpeformer_jax.model.spec import NetworkSpec

Graph = Callable[..., dict[str, jax.Array]]
Run = Callable[..., dict[str, np.ndarray]]  # (images, camera_row) -> features by name


def exported_spec(spec: NetworkSpec) -> NetworkSpec:
    """Returns the network that is exported, which computes in float32.

    Raises:
        UserError: its features depend on the other pictures of a batch.
    """
    if spec.mixes_batch:
        raise UserError(
            "this network's features depend on the other pictures of a batch, as the released "
            "program's do; export a checkpoint that computes as the paper says"
        )
    return dataclasses.replace(spec, dtype="float32")


def graph_of(spec: NetworkSpec, fixed_size: bool) -> Graph:
    """Returns fn(variables, images, camera_row) -> features by name, as an Extractor gives them.

    images are uint8 RGB [B, h, w, 3], resized inside unless `fixed_size` says that they have the
    network's size; camera_row [B] int32 is an argument only where the network embeds cameras.
    Features are float32 [B, F], and SELECTED [B, N] bool.
    """
    forward = forward_of(build_network(spec))

    def graph(
        variables: Any, images: jax.Array, camera_row: jax.Array | None = None
    ) -> dict[str, jax.Array]:
        if not fixed_size:
            images = normalize_pixels(from_uint8(resized(images, spec.image_size)))
        found = forward(variables, images, camera_row)
        return at_unit_length(found) | found

    return graph


def inputs_of(spec: NetworkSpec, fixed_size: bool) -> list[jax.ShapeDtypeStruct]:
    """Returns the forms of images and, where the network embeds cameras, of camera_row.

    The batch has any size, and so have pictures that are not of the network's size.
    """
    batch, height, width = jax.export.symbolic_shape("batch, height, width")
    size = spec.image_size if fixed_size else (height, width)
    images = jax.ShapeDtypeStruct((batch, *size, 3), np.uint8)
    return [images, *([jax.ShapeDtypeStruct((batch,), np.int32)] if spec.sie_rows else [])]
