"""The backbone on the two views of a training batch, which every family shares."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.vit import VisionTransformer

Gather = Callable[[jax.Array], jax.Array]  # from a device's share of a batch to the batch


def tokens_of_views(
    backbone: VisionTransformer,
    views: jax.Array,
    camera_row: jax.Array | None,
    keys: jax.Array,
    gather: Gather,
    microbatches: int,
) -> tuple[jax.Array, jax.Array]:
    """Computes the tokens [B, 1 + N, D] of the clean and of the occluded view as one batch.

    Args:
        views: [2, B, H, W, 3] normalised, clean then occluded.
        camera_row: [B] row of the side information embedding, or None.
        keys: [2, B] random keys for the stochastic depth.
        gather: brings the tokens of the whole batch together, where B is a device's share.
        microbatches: pieces that the backbone takes the batch in, one after the other. It keeps
            intermediate values of one piece at a time and computes them again for the gradient.
    """
    # The views of an image lie side by side, so that a batch split over devices stays split.
    images, keys = (x.swapaxes(0, 1).reshape(-1, *x.shape[2:]) for x in (views, keys))
    rows = None if camera_row is None else jnp.repeat(camera_row, 2)
    tokens = _in_pieces(backbone, (images, rows, keys), microbatches)
    clean, occluded = (gather(tokens[view::2]) for view in (0, 1))
    return clean, occluded


def _in_pieces(backbone: VisionTransformer, batch: tuple, count: int) -> jax.Array:
    if count == 1:
        return backbone(*batch)

    def piece(backbone: VisionTransformer, carry: None, images: tuple) -> tuple:
        return carry, backbone(*images)

    # A piece takes every count-th image, so that each device has a share of all pieces.
    pieces = jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1), batch)
    scan = nn.scan(nn.remat(piece), variable_broadcast="params", split_rngs={"params": False})
    _, tokens = scan(backbone, None, pieces)
    return tokens.swapaxes(0, 1).reshape(-1, *tokens.shape[2:])
