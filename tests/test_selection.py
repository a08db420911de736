"""DPSM: the choice of patches and the pooling of the chosen ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpeformer_jax.model.selection import (
    Selection,
    all_patches,
    kept_stripes,
    own_bands,
    pool_selected,
    pool_stripes,
    pooling_weights,
    raster_bands,
    select_patches,
)


def random_tokens(batch=5, patches=40, width=8, seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((batch, patches, width)).astype(np.float32)
    return rng.standard_normal((batch, width)).astype(np.float32), tokens


def chosen_one_by_one(global_token, patches, min_patches):
    """The released program's rule for one image, in plain numpy."""
    proxy = np.argmax(patches @ global_token)
    similarity = patches @ patches[proxy]
    order = np.argsort(-similarity, kind="stable")
    drops = np.append(-np.diff(similarity[order]), 0)
    return proxy, order[: max(int(np.argmax(drops)), min_patches)]


def test_choice_follows_the_written_rule():
    global_token, patches = random_tokens()
    selection = select_patches(global_token, patches, min_patches=6)
    for i in range(len(global_token)):
        proxy, order = chosen_one_by_one(global_token[i], patches[i], 6)
        assert selection.proxy[i] == proxy
        np.testing.assert_array_equal(np.argsort(selection.rank[i])[: len(order)], order)
        np.testing.assert_array_equal(np.flatnonzero(selection.kept[i]), np.sort(order))


@pytest.mark.parametrize(("count", "parts"), [(24, 4), (25, 4), (7, 3), (5, 5), (128, 4)])
def test_pooling_weights_are_adaptive_average_pooling(count, parts):
    tokens = np.random.default_rng(0).standard_normal((128, 3)).astype(np.float32)
    weights = pooling_weights(count, jnp.arange(128), parts)
    bins = [
        tokens[i * count // parts : -(-(i + 1) * count // parts)].mean(axis=0) for i in range(parts)
    ]
    np.testing.assert_allclose(weights @ tokens, np.stack(bins), atol=1e-6)


def test_stripes_are_rows_of_the_image():
    tokens = np.random.default_rng(1).standard_normal((2, 128, 5)).astype(np.float32)
    expected = tokens.reshape(2, 4, 32, 5).mean(axis=2)
    np.testing.assert_allclose(pool_stripes(tokens, 4), expected, atol=1e-6)


def test_bands_pool_the_kept_patches_by_rank():
    global_token, patches = random_tokens()
    selection = select_patches(global_token, patches, min_patches=6)
    pooled = pool_selected(patches, own_bands(selection, 3))
    for i in range(len(global_token)):
        _, order = chosen_one_by_one(global_token[i], patches[i], 6)
        count = len(order)
        for part in range(3):
            band = order[part * count // 3 : -(-(part + 1) * count // 3)]
            np.testing.assert_allclose(pooled[i, part], patches[i, band].mean(0), atol=1e-5)


def test_gradient_reaches_kept_patches_only():
    global_token, patches = random_tokens()

    def pooled_sum(global_token, patches):
        selection = select_patches(global_token, patches, 6)
        return (pool_selected(patches, own_bands(selection, 3)) ** 2).sum()

    global_token_grad, patch_grad = jax.grad(pooled_sum, argnums=(0, 1))(global_token, patches)
    kept = np.asarray(select_patches(global_token, patches, 6).kept)
    assert not np.any(global_token_grad)
    np.testing.assert_array_equal(np.any(patch_grad, axis=-1), kept)


def test_choice_is_made_in_float32_for_bfloat16_tokens():
    global_token, patches = random_tokens()
    global_token, patches = (jnp.asarray(x, jnp.bfloat16) for x in (global_token, patches))
    exact = select_patches(global_token.astype(jnp.float32), patches.astype(jnp.float32), 6)
    for ours, expected in zip(select_patches(global_token, patches, 6), exact, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_kept_marks_as_many_patches_as_counted():
    rank = jnp.array([[2, 0, 1], [0, 1, 2]])
    selection = Selection(jnp.zeros(2, int), jnp.array([1, 3]), rank, jnp.zeros((2, 3)))
    assert selection.kept.tolist() == [[False, True, False], [True, True, True]]


def test_all_patches_in_bands_are_the_stripes_of_the_image():
    _, patches = random_tokens()
    selection = all_patches(patches)
    assert selection.kept.all()
    pooled = pool_selected(patches, own_bands(selection, 4))
    np.testing.assert_allclose(pooled, pool_stripes(patches, 4), atol=1e-6)


def test_cosine_ignores_the_lengths_of_tokens_and_the_product_does_not():
    global_token, patches = random_tokens()
    lengths = np.random.default_rng(5).uniform(0.2, 5, (*patches.shape[:2], 1)).astype(np.float32)
    for kind, alike in (("cosine", True), ("product", False)):
        once = select_patches(global_token, patches, 6, kind)
        again = select_patches(global_token, patches * lengths, 6, kind)
        assert np.array_equal(once.rank, again.rank) == alike


def test_above_keeps_the_patch_that_the_released_count_misses():
    global_token, patches = random_tokens()
    released = select_patches(global_token, patches, 1)
    above = select_patches(global_token, patches, 1, count_rule="above")
    falling = -np.sort(-np.asarray(above.similarity), axis=1)
    np.testing.assert_array_equal(above.count, np.argmax(-np.diff(falling, axis=1), axis=1) + 1)
    np.testing.assert_array_equal(released.count, np.maximum(above.count - 1, 1))


def chosen(rank, count):
    """A selection of one image with this rank of each patch."""
    zeros = np.zeros(1, int)
    return Selection(zeros, np.array([count]), np.array([rank]), np.zeros((1, len(rank))))


def test_raster_bands_leave_the_order_of_similarity():
    selection = chosen([3, 0, 5, 1, 4, 2], count=4)  # keeps patches 0, 1, 3 and 5
    expected = np.array([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0, 0.5, 0, 0.5]])
    np.testing.assert_allclose(raster_bands(selection, 2)[0], expected, atol=1e-6)
    by_similarity = np.array([[0, 0.5, 0, 0.5, 0, 0], [0.5, 0, 0, 0, 0, 0.5]])
    np.testing.assert_allclose(own_bands(selection, 2)[0], by_similarity, atol=1e-6)


def test_a_stripe_without_a_kept_patch_gets_all_that_are_kept():
    selection = chosen([0, 1, 4, 5, 3, 2], count=3)  # keeps patches 0, 1 and 5
    third = 1 / 3
    expected = np.array(
        [[0.5, 0.5, 0, 0, 0, 0], [third, third, 0, 0, 0, third], [0, 0, 0, 0, 0, 1]]
    )
    np.testing.assert_allclose(kept_stripes(selection, 3)[0], expected, atol=1e-6)
