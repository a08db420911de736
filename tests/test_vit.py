"""The backbone: stochastic depth, patch grid; its numbers are in test_parity.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpeformer_jax.model.vit import drop_path, patch_grid


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
