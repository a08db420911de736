"""The backbone: stochastic depth, patch grid; its numbers are in test_parity.py."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpeformer_jax.model.layers import Dense, branch_factors, gelu
from dpeformer_jax.model.plain_attention import attend
from dpeformer_jax.model.variants import VARIANTS, patch_grid
from dpeformer_jax.model.vit import VisionTransformer


@pytest.mark.parametrize(
    ("size", "patch", "stride", "grid"),
    [((256, 128), 16, 16, (16, 8)), ((256, 128), 16, 12, (21, 10)), ((64, 32), 8, 8, (8, 4))],
)
def test_patch_grid(size, patch, stride, grid):
    assert patch_grid(size, patch, stride) == grid


def test_stochastic_depth_keeps_branches_at_their_mean():
    factors = branch_factors(jax.random.split(jax.random.key(0), 4000), [0, 0.25])
    assert (factors[:, 0] == 1).all()
    assert set(np.unique(factors[:, 1])) == {0, np.float32(4 / 3)}
    np.testing.assert_allclose(factors[:, 1].mean(axis=0), 1, atol=0.03)


def test_stochastic_depth_of_an_example_depends_on_its_key_alone():
    keys = jax.random.split(jax.random.key(0), 16)
    whole = branch_factors(keys, [0.5] * 12)
    np.testing.assert_array_equal(branch_factors(keys[5:9], [0.5] * 12), whole[5:9])
    assert len(np.unique(whole.reshape(16, -1), axis=1).T) == 24, "branches drop alike"


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
    exact = partial(jax.nn.gelu, approximate=False)
    np.testing.assert_allclose(gelu(x), exact(x), atol=1e-6)
    slopes = (jax.vmap(jax.grad(f))(x) for f in (gelu, exact))
    np.testing.assert_allclose(*slopes, atol=1e-6)


def test_gelu_of_bfloat16_is_rounded_once():
    x = jnp.linspace(-4, 4, 999).astype(jnp.bfloat16)
    exact = jax.nn.gelu(np.float64(x), approximate=False)
    np.testing.assert_allclose(np.float64(gelu(x)), exact, rtol=2**-8, atol=1e-6)


def test_dense_is_that_of_flax():
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
    ours = Dense(6, x.dtype, nn.Dense.kernel_init, activation=gelu)
    variables = nn.Dense(6).init(jax.random.key(1), x)
    jax.tree.map(np.testing.assert_array_equal, ours.init(jax.random.key(1), x), variables)

    def loss(apply, variables, x):
        return (apply(variables, x) ** 2).sum()

    def theirs(variables, x):
        return nn.Dense(6).apply(variables, gelu(x))

    slopes = jax.value_and_grad(loss, argnums=(1, 2))
    found, expected = (slopes(apply, variables, x) for apply in (ours.apply, theirs))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), found, expected)


def test_gradients_of_weights_are_summed_in_float32():
    """A sum of 4,096 equal bfloat16 numbers is exact in float32, and could not be in bfloat16."""
    x = jnp.ones((4096, 2), jnp.bfloat16)
    dense = Dense(3, x.dtype)
    variables = dense.init(jax.random.key(0), x)
    up = jnp.full((4096, 3), 1 + 2**-7, jnp.bfloat16)
    (found,) = jax.vjp(lambda v: dense.apply(v, x), variables)[1](up)
    for name in ("kernel", "bias"):
        assert found["params"][name].dtype == jnp.float32
        np.testing.assert_array_equal(found["params"][name], 4096 * (1 + 2**-7))


@pytest.mark.parametrize("trunk", [False, True])
@pytest.mark.parametrize("remat", [False, True])
def test_scanned_blocks_compute_the_same_from_the_same_weights(trunk, remat):
    fields = {"stride": 8, "drop_path": 0.5, "trunk": trunk, "remat": remat}
    plain, scanned = (
        VisionTransformer(VARIANTS["pass_nano8"], scan=scan, **fields) for scan in (False, True)
    )
    images = jax.random.normal(jax.random.key(0), (4, 32, 16, 3))
    keys = jax.random.split(jax.random.key(1), 4)
    variables, same = (jax.jit(x.init)(jax.random.key(2), images) for x in (plain, scanned))
    jax.tree.map(np.testing.assert_array_equal, same, variables)

    @partial(jax.jit, static_argnums=1)
    @jax.value_and_grad
    def loss(variables, network, keys):
        return (network.apply(variables, images, keys=keys) ** 2).mean()

    for drawn in (None, keys):
        found, expected = (loss(variables, x, drawn) for x in (scanned, plain))
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), found, expected)
