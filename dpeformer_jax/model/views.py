"""The encoder on all views of a training batch."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Gather = Callable[[jax.Array], jax.Array]  # from a device's share of a batch to the batch


def encoded_views(
    network: nn.Module,
    views: jax.Array,
    camera_row: jax.Array | None,
    keys: jax.Array,
    gather: Gather,
    microbatches: int,
) -> tuple[Any, ...]:
    """Computes what the network's `encode` gives of each view, with all of them as one batch.

    Args:
        views: [V, B, H, W, 3] normalised, the clean one first.
        camera_row: [B] row of the side information embedding, or None.
        keys: [V, B] random keys for the stochastic depth.
        gather: brings what is encoded of the whole batch together, where B is a device's share.
        microbatches: pieces that the encoder takes the batch in, one after the other. It keeps
            intermediate values of one piece at a time and computes them again for the gradient.
    """
    count = len(views)
    # The views of an image lie side by side, so that a batch split over devices stays split.
    images, keys = (x.swapaxes(0, 1).reshape(-1, *x.shape[2:]) for x in (views, keys))
    rows = None if camera_row is None else jnp.repeat(camera_row, count)
    encoded = _in_pieces(network, (images, rows, keys), microbatches)
    return tuple(
        jax.tree.map(lambda x, view=view: gather(x[view::count]), encoded) for view in range(count)
    )


def _in_pieces(network: nn.Module, batch: tuple, count: int) -> Any:
    if count == 1:
        return network.encode(*batch)

    def piece(network: nn.Module, carry: None, images: tuple) -> tuple:
        return carry, network.encode(*images)

    # A piece takes every count-th image, so that each device has a share of all pieces.
    pieces = jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1), batch)
    scan = nn.scan(nn.remat(piece), variable_broadcast="params", split_rngs={"params": False})
    _, encoded = scan(network, None, pieces)
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), encoded)
