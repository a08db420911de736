"""The whole network: independence of images, statistics of the norms, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from variables import random_variables

from benchmarks import released
from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.model.vit import VARIANTS

SIZE = (64, 32)


def small_model(**changes):
    fields = {"stride": 16, "num_classes": 5, "min_patches": 4} | changes
    return DPEFormer(VARIANTS["mu"], **fields)


def random_images(count, seed=0, size=SIZE):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *size, 3)).astype(np.float32)


def variables_of(model, size=SIZE):
    return random_variables(model, jnp.zeros((1, *size, 3)), jnp.zeros(1, jnp.int32))


def test_features_depend_on_the_image_alone():
    model = small_model()
    variables, images = variables_of(model), random_images(6)
    apply = jax.jit(model.apply)
    alone = [apply(variables, images[i : i + 1]) for i in range(6)]
    order = np.array([3, 0, 5, 1, 4, 2])
    for feature in ("holistic", "parts"):
        expected = np.concatenate([getattr(outputs, feature) for outputs in alone])
        together = getattr(apply(variables, images), feature)
        permuted = getattr(apply(variables, images[order]), feature)
        others = images.copy()
        others[1:] = random_images(5, seed=9)
        changed = getattr(apply(variables, others), feature)
        np.testing.assert_allclose(together, expected, atol=1e-5)
        np.testing.assert_allclose(permuted, expected[order], atol=1e-5)
        np.testing.assert_allclose(changed[0], expected[0], atol=1e-5)


@pytest.mark.parametrize("field", ["pooling", "head_merge"])
def test_the_released_ways_let_batch_mates_in(field):
    model = small_model(**{field: "batch"})
    variables, images = variables_of(model), random_images(6)
    others = np.concatenate([images[:1], random_images(5, seed=9)])
    apply = jax.jit(model.apply)
    first, changed = apply(variables, images), apply(variables, others)
    assert model.mixes_batch and not small_model().mixes_batch
    np.testing.assert_allclose(changed.holistic[0], first.holistic[0], atol=1e-5)
    if field == "head_merge" or first.selected.sum(axis=1).min() != changed.selected.sum(1).min():
        assert np.abs(changed.parts[0] - first.parts[0]).max() > 1e-3


def test_the_first_patch_can_stand_for_the_whole():
    variables, images = variables_of(small_model()), random_images(2)
    globe = [
        jax.jit(small_model(global_token=name).apply)(variables, images).logits.globe
        for name in ("class", "first_patch")
    ]
    assert np.abs(globe[0] - globe[1]).max() > 1e-3


def test_every_parameter_receives_a_gradient():
    model = small_model(sides=3)
    variables = variables_of(model)
    views = jnp.stack([random_images(6), random_images(6, seed=1)])
    keys = jax.random.split(jax.random.key(2), (2, 6))

    def loss(params):
        outputs, _ = model.apply(
            {**variables, "params": params},
            views,
            jnp.arange(6) % 3,
            keys,
            method=model.train_views,
            mutable=["batch_stats"],
        )
        weights = iter(jax.random.split(jax.random.key(3), 100))
        return sum(
            (x * jax.random.normal(next(weights), x.shape)).sum()
            for x in jax.tree.leaves([outputs[0].logits, outputs[1].logits])
        )

    grads = jax.jit(jax.grad(loss))(variables["params"])
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        assert np.abs(grad).max() > 0, jax.tree_util.keystr(path)


def test_parameters_stay_float32_and_outputs_too_under_bfloat16():
    model = small_model(dtype=jnp.bfloat16)
    variables, images = variables_of(model), random_images(4)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    outputs = jax.jit(model.apply)(variables, images)
    assert outputs.holistic.dtype == outputs.parts.dtype == jnp.float32
    exact = jax.jit(small_model().apply)(variables, images)
    np.testing.assert_allclose(outputs.holistic, exact.holistic, atol=0.1)
    assert np.abs(outputs.holistic - exact.holistic).max() > 0


def test_overlapping_stride_gives_more_patches():
    model = small_model(stride=12)
    size = (256, 128)
    outputs = jax.eval_shape(model.apply, variables_of(model, size), random_images(1, size=size))
    assert outputs.selected.shape == (1, 21 * 10)


def test_side_information_moves_features():
    model = small_model(sides=3)
    variables, images = variables_of(model), random_images(2)
    apply = jax.jit(model.apply)
    first = apply(variables, images, jnp.array([0, 0])).holistic
    second = apply(variables, images, jnp.array([0, 2])).holistic
    np.testing.assert_allclose(first[0], second[0], atol=1e-6)
    assert np.abs(first[1] - second[1]).max() > 1e-3


def test_stochastic_depth_follows_its_keys():
    model = small_model(drop_path=0.9)
    variables = variables_of(model)
    views = jnp.stack([random_images(6), random_images(6)])

    @jax.jit
    def features(keys):
        outputs, _ = model.apply(
            variables, views, None, keys, method=model.train_views, mutable=["batch_stats"]
        )
        return outputs[0].holistic

    first, second = (jax.random.split(jax.random.key(seed), (2, 6)) for seed in (0, 1))
    np.testing.assert_array_equal(features(first), features(first))
    assert np.abs(features(first) - features(second)).max() > 1e-2


def test_norms_move_once_for_each_view_clean_first():
    model = small_model()
    variables = variables_of(model)
    clean, occluded = random_images(6), random_images(6, seed=1)
    keys = jax.random.split(jax.random.key(2), (2, 6))

    @jax.jit
    def statistics(variables, first, second):
        _, updated = model.apply(
            variables,
            jnp.stack([first, second]),
            None,
            keys,
            method=model.train_views,
            mutable=["batch_stats"],
        )
        return updated["batch_stats"]["holistic_norm"]

    start = variables["batch_stats"]["holistic_norm"]["mean"]
    mean_of = {
        name: (statistics(variables, view, view)["mean"] - 0.81 * start) / 0.19
        for name, view in (("clean", clean), ("occluded", occluded))
    }
    expected = 0.81 * start + 0.09 * mean_of["clean"] + 0.1 * mean_of["occluded"]
    np.testing.assert_allclose(statistics(variables, clean, occluded)["mean"], expected, atol=1e-5)


def test_full_size_parameters_have_the_released_shapes():
    model = DPEFormer(VARIANTS["b16"], 16, 702)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 256, 128, 3)))
    expected = jax.tree.map(lambda x: x.shape, released.dpeformer())
    assert jax.tree.map(lambda x: x.shape, shapes) == expected
