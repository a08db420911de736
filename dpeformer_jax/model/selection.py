"""DPSM, the dynamic patch token selection (arXiv 2402.10435, section 3.2). Pure jnp.

Every image keeps its own number of patches, yet all shapes are static: every patch gets a rank, and
pooling the kept patches is a product with a weight matrix.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

EXACT = jax.lax.Precision.HIGHEST  # a GPU's default (TF32) would reorder near neighbours


class Selection(NamedTuple):
    """The patches of each image that show the person.

    proxy: [B] the patch most similar to the global token.
    count: [B] K, the number of patches that are kept.
    rank: [B, N] place of each patch in falling similarity to the proxy; kept where rank < count.
    similarity: [B, N] of each patch to the proxy, an unnormalised product.
    """

    proxy: jax.Array
    count: jax.Array
    rank: jax.Array
    similarity: jax.Array

    @property
    def kept(self) -> jax.Array:
        """[B, N] bool, the kept patches in raster order."""
        return self.rank < self.count[:, None]


def select_patches(
    global_token: jax.Array,
    patches: jax.Array,
    min_patches: int,
    similarity_kind: str = "product",
    count_rule: str = "released",
) -> Selection:
    """Keeps the patches above the largest drop in similarity to the proxy patch.

    No gradient flows through the choice. Similarities are in float32, whatever the compute dtype.

    Args:
        global_token: [B, D].
        patches: [B, N, D].
        min_patches: smallest K, at most N.
        similarity_kind: "product", as in the released program, or "cosine".
        count_rule: "released", the index of the drop counted from 0, which is one fewer than the
            patches above it; or "above", all of these.
    """
    global_token, patches = jax.lax.stop_gradient((global_token, patches))
    patches, global_token = (x.astype(jnp.float32) for x in (patches, global_token))
    if similarity_kind == "cosine":
        patches, global_token = (at_length_1(x) for x in (patches, global_token))
    affinity = jnp.einsum("bd,bnd->bn", global_token, patches, precision=EXACT)
    proxy = jnp.argmax(affinity, axis=1)
    proxy_token = jnp.take_along_axis(patches, proxy[:, None, None], axis=1)[:, 0]
    similarity = jnp.einsum("bd,bnd->bn", proxy_token, patches, precision=EXACT)
    order = jnp.argsort(similarity, axis=1, descending=True, stable=True)
    falling = jnp.take_along_axis(similarity, order, axis=1)
    drops = falling[:, :-1] - falling[:, 1:]
    above = jnp.argmax(drops, axis=1) + (count_rule == "above")
    count = jnp.maximum(above, min_patches)
    return Selection(proxy, count, jnp.argsort(order, axis=1), similarity)


def all_patches(patches: jax.Array) -> Selection:
    """Keeps every patch of [B, N, D], in raster order: the network without DPSM."""
    images, total = patches.shape[:2]
    rank = jnp.broadcast_to(jnp.arange(total), (images, total))
    zeros = jnp.zeros(images, jnp.int32)
    return Selection(zeros, jnp.full(images, total), rank, jnp.zeros((images, total)))


def at_length_1(x: jax.Array) -> jax.Array:
    """Scales the vectors [..., D] to length 1."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def pooling_weights(
    count: jax.Array | int, position: jax.Array, parts: jax.Array | int, rows: int | None = None
) -> jax.Array:
    """Returns adaptive average pooling of positions 0..count-1 to `parts` bins as a matrix.

    Bin i covers floor(i * count / parts) .. ceil((i + 1) * count / parts) - 1. Positions from
    `count` on get no weight.

    Args:
        count: [...] or scalar, the number of positions that are pooled, at least `parts`.
        position: [..., N] the position of each token.
        parts: number of bins.
        rows: of the matrix, where only run time knows `parts`; those from `parts` on are 0.

    Returns:
        [..., rows, N] weights; each of the first `parts` rows adds up to 1.
    """
    count = jnp.asarray(count)[..., None]
    bins = jnp.arange(parts if rows is None else rows)
    first = _quotient(bins * count, parts)
    end = _quotient((bins + 1) * count + parts - 1, parts)
    position = position[..., None, :]
    inside = (first[..., None] <= position) & (position < end[..., None])
    return inside * (bins < parts)[:, None] / (end - first)[..., None]


def _quotient(x: jax.Array, divisor: jax.Array | int) -> jax.Array:
    """Divides whole numbers that are not negative, rounding down.

    `//` takes a remainder too, which jax2onnx cannot convert for a batch of any size.
    """
    return jax.lax.div(x, jnp.broadcast_to(jnp.asarray(divisor, x.dtype), x.shape))


def pool_stripes(patches: jax.Array, parts: int) -> jax.Array:
    """Averages each of `parts` stripes of the raster order: [B, N, D] -> [B, P, D] float32."""
    tokens = patches.shape[1]
    weights = pooling_weights(tokens, jnp.arange(tokens), parts)
    return jnp.einsum("pn,bnd->bpd", weights, patches.astype(jnp.float32))


def own_bands(selection: Selection, parts: int) -> jax.Array:
    """Returns weights [B, P, N] that average each band of an image's kept patches by rank."""
    return pooling_weights(selection.count, selection.rank, parts)


def raster_bands(selection: Selection, parts: int) -> jax.Array:
    """Returns weights [B, P, N] that average each band of the kept patches in raster order."""
    places = jnp.cumsum(selection.kept, axis=1) - 1
    patches = selection.rank.shape[1]
    places = jnp.where(selection.kept, places, patches)  # beyond every count
    return pooling_weights(selection.count, places, parts)


def kept_stripes(selection: Selection, parts: int) -> jax.Array:
    """Returns weights [B, P, N] that average the kept patches of each stripe of the image.

    A stripe without a kept patch gets the average of all that are kept.
    """
    patches = selection.rank.shape[1]
    kept = selection.kept.astype(jnp.float32)[:, None]
    weights = pooling_weights(patches, jnp.arange(patches), parts) * kept
    weights = jnp.where(weights.any(axis=2, keepdims=True), weights, kept)
    return weights / weights.sum(axis=2, keepdims=True)


# By the spec's `bands`: what is pooled to one part.
BANDS = {"similarity": own_bands, "raster": raster_bands, "stripes": kept_stripes}


def shortened(selection: Selection) -> jax.Array:
    """Returns weights [B, N, N] that pool each image's K kept patches to the batch's smallest K.

    By this the released program's features depend on the batch. Rows from the smallest K on are 0.
    """
    patches = selection.rank.shape[1]
    return pooling_weights(selection.count, selection.rank, selection.count.min(), rows=patches)


def batch_bands(selection: Selection, parts: int) -> jax.Array:
    """Returns weights [B, P, N] of bands by way of the batch's smallest K (released program)."""
    patches = selection.rank.shape[1]
    bands = pooling_weights(selection.count.min(), jnp.arange(patches), parts)
    return jnp.einsum("pm,bmn->bpn", bands, shortened(selection), precision=EXACT)


def pool_selected(patches: jax.Array, bands: jax.Array) -> jax.Array:
    """Averages the kept patches: [B, N, D] by weights [B, P, N] -> [B, P, D] float32."""
    return jnp.einsum("bpn,bnd->bpd", bands, patches.astype(jnp.float32))
