"""FBM: one image at a time, own weights for each part."""

import jax
import numpy as np
from variables import random_variables

from dpeformer_jax.model.blending import FeatureBlending, PartBlending

WIDTH = 48


def inputs(batch, parts, seed=0):
    rng = np.random.default_rng(seed)
    part = rng.standard_normal((batch, parts, WIDTH)).astype(np.float32)
    return part, rng.standard_normal((batch, WIDTH)).astype(np.float32)


def test_an_image_is_blended_alone():
    parts, global_token = inputs(5, 3)
    model = PartBlending()
    variables = random_variables(model, parts, global_token)
    together = jax.jit(model.apply)(variables, parts, global_token)
    alone = jax.jit(model.apply)(variables, parts[2:3], global_token[2:3])
    np.testing.assert_allclose(together[2:3], alone, atol=1e-6)


def test_each_part_has_its_own_weights():
    parts, global_token = inputs(2, 3)
    model = PartBlending()
    variables = random_variables(model, parts, global_token)
    blended = jax.jit(model.apply)(variables, parts, global_token)
    for index in range(3):
        own = jax.tree.map(lambda x, i=index: x[i], variables)
        expected = jax.jit(FeatureBlending().apply)(own, parts[:, index], global_token)
        np.testing.assert_allclose(blended[:, index], expected, atol=1e-6)
    kernels = variables["params"]["q"]["kernel"]
    assert np.abs(kernels[0] - kernels[1]).max() > 0


def test_the_global_feature_enters_by_attention():
    parts, global_token = inputs(1, 2)
    model = PartBlending()
    variables = random_variables(model, parts, global_token)
    other = jax.jit(model.apply)(variables, parts, inputs(1, 2, seed=5)[1])
    assert np.abs(other - jax.jit(model.apply)(variables, parts, global_token)).max() > 1e-3
