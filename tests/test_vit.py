"""The backbone: stochastic depth, patch grid; its numbers are in test_parity.py."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpeformer_jax.model.attention import attend
from dpeformer_jax.model.layers import Dense, drop_path, gelu
from dpeformer_jax.model.variants import patch_grid


@pytest.mark.parametrize(
    ("size", "patch", "stride", "grid"),
    [((256, 128), 16, 16, (16, 8)), ((256, 128), 16, 12, (21, 10)), ((64, 32), 8, 8, (8, 4))],
)
def test_patch_grid(size, patch, stride, grid):
    assert patch_grid(size, patch, stride) == grid


def test_drop_path_keeps_whole_examples_at_their_mean():
    keys = jax.random.split(jax.random.key(0), 4000)
    dropped = np.asarray(drop_path(jnp.ones((4000, 2, 3)), 0.25, keys))
    assert set(np.unique(dropped.round(5))) == {0.0, np.float32(4 / 3).round(5)}
    assert (dropped == dropped[:, :1, :1]).all()
    assert abs(dropped.mean() - 1) < 0.03


def test_drop_path_of_an_example_depends_on_its_key_alone():
    keys = jax.random.split(jax.random.key(0), 16)
    x = jnp.ones((16, 1, 1))
    whole = drop_path(x, 0.5, keys)
    np.testing.assert_array_equal(drop_path(x[5:9], 0.5, keys[5:9]), whole[5:9])


def with_gradient(attention, *inputs):
    """The result, and the gradients of query, key and value, in float32."""
    *inputs, up = inputs
    found, back = jax.vjp(attention, *inputs)
    assert found.dtype == up.dtype
    return [np.float32(x) for x in (found, *back(up))]


@pytest.mark.slow
def test_attention_and_its_gradient_are_those_of_jax():
    inputs = jax.random.normal(jax.random.key(0), (4, 2, 7, 3, 8))
    found, expected = (with_gradient(f, *inputs) for f in (attend, jax.nn.dot_product_attention))
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, atol=2e-6)


@pytest.mark.slow
def test_attention_in_bfloat16_is_off_by_little_more_than_its_rounding():
    """Of JAX's own the gradient comes from float32 products, which take a GPU far longer."""
    inputs = 2 * jax.random.normal(jax.random.key(0), (4, 2, 129, 3, 64)).astype(jnp.bfloat16)
    exact = with_gradient(jax.nn.dot_product_attention, *inputs.astype(jnp.float32))
    found, theirs = (with_gradient(f, *inputs) for f in (attend, jax.nn.dot_product_attention))
    errors, their_errors = (
        [np.linalg.norm(x - y) / np.linalg.norm(y) for x, y in zip(approximate, exact, strict=True)]
        for approximate in (found, theirs)
    )
    assert errors[0] < their_errors[0] and max(errors) < 2**-8


def test_attention_stands_logits_that_overflow_an_exponential():
    q, k, v = 100 * jax.random.normal(jax.random.key(0), (3, 1, 5, 2, 8))
    expected = jax.nn.dot_product_attention(q, k, v)
    np.testing.assert_allclose(attend(q, k, v), expected, rtol=1e-5)


def test_gelu_and_its_gradient_are_exact():
    x = jnp.linspace(-6, 6, 1001)
    exact = functools.partial(jax.nn.gelu, approximate=False)
    np.testing.assert_allclose(gelu(x), exact(x), atol=1e-6)
    slopes = (jax.vmap(jax.grad(f))(x) for f in (gelu, exact))
    np.testing.assert_allclose(*slopes, atol=1e-6)


def test_gelu_of_bfloat16_is_rounded_once():
    x = jnp.linspace(-4, 4, 999).astype(jnp.bfloat16)
    exact = jax.nn.gelu(np.float64(x), approximate=False)
    np.testing.assert_allclose(np.float64(gelu(x)), exact, rtol=2**-8, atol=1e-6)


def test_dense_is_that_of_flax():
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
    variables = nn.Dense(6).init(jax.random.key(1), x)
    expected = nn.Dense(6).apply(variables, x)
    np.testing.assert_allclose(Dense(6).apply(variables, x), expected, rtol=1e-6)
    assert jax.tree.all(
        jax.tree.map(np.array_equal, Dense(6).init(jax.random.key(1), x), variables)
    )
