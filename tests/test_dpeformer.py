"""The whole network: independence of images, statistics of the norms, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from toy import toy_spec, toy_variables

from dpeformer_jax.model.families import build_network, outputs_of, shapes_of
from dpeformer_jax.model.spec import NetworkSpec
from tests.parity import released

SIZE = (64, 32)


def small_model(drop_path=0.0, **changes):
    return build_network(toy_spec(**changes), drop_path=drop_path)


def random_images(count, seed=0, size=SIZE):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *size, 3)).astype(np.float32)


def variables_of(model):
    return toy_variables(model.spec)


def test_features_depend_on_the_image_alone():
    model = small_model()
    variables, images = variables_of(model), random_images(6)
    apply = jax.jit(model.apply)
    alone = [apply(variables, images[i : i + 1]) for i in range(6)]
    order = np.array([3, 0, 5, 1, 4, 2])
    for feature in ("holistic", "parts"):
        expected = np.concatenate([outputs.features[feature] for outputs in alone])
        together = apply(variables, images).features[feature]
        permuted = apply(variables, images[order]).features[feature]
        others = images.copy()
        others[1:] = random_images(5, seed=9)
        changed = apply(variables, others).features[feature]
        np.testing.assert_allclose(together, expected, atol=1e-5)
        np.testing.assert_allclose(permuted, expected[order], atol=1e-5)
        np.testing.assert_allclose(changed[0], expected[0], atol=1e-5)


@pytest.mark.parametrize("field", ["pooling", "head_merge"])
def test_the_released_ways_let_batch_mates_in(field):
    model = small_model(size=(128, 64), parts=3, **{field: "batch"})
    variables, images = variables_of(model), random_images(6, seed=10, size=(128, 64))
    apply = jax.jit(model.apply)
    counts = apply(variables, images).selection.kept.sum(axis=1)
    assert counts.min() < counts.max()  # or there would be nothing to shorten
    most = int(counts.argmax())  # beside its own copies, no list of patches is shortened
    images = images[[most, *(place for place in range(6) if place != most)]]
    changed = apply(variables, np.repeat(images[:1], 6, axis=0)).features
    first = apply(variables, images).features
    assert model.spec.mixes_batch and not toy_spec().mixes_batch
    np.testing.assert_allclose(changed["holistic"][0], first["holistic"][0], atol=1e-5)
    assert np.abs(changed["parts"][0] - first["parts"][0]).max() > 1e-3


def test_the_first_patch_can_stand_for_the_whole():
    variables, images = variables_of(small_model()), random_images(2)
    logits = [
        jax.jit(small_model(global_token=name).apply)(variables, images).logits["global_token"]
        for name in ("class", "first_patch")
    ]
    assert np.abs(logits[0] - logits[1]).max() > 1e-3


@pytest.mark.slow
def test_every_parameter_receives_a_gradient():
    model = small_model(sie_rows=3)
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


@pytest.mark.slow
def test_parameters_stay_float32_and_outputs_too_under_bfloat16():
    model = small_model(dtype="bfloat16")
    variables, images = variables_of(model), random_images(4)
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    outputs = jax.jit(model.apply)(variables, images)
    assert {x.dtype for x in jax.tree.leaves((outputs.features, outputs.logits))} == {
        jnp.dtype("float32")
    }
    holistic = outputs.features["holistic"]
    exact = jax.jit(small_model().apply)(variables, images).features["holistic"]
    np.testing.assert_allclose(holistic, exact, atol=0.1)
    assert np.abs(holistic - exact).max() > 0


def test_overlapping_stride_gives_more_patches():
    spec = toy_spec((256, 128), stride=12)
    assert spec.grid == (21, 10)
    assert outputs_of(spec).selection.rank.shape == (1, 21 * 10)


def test_side_information_moves_features():
    model = small_model(sie_rows=3)
    variables, images = variables_of(model), random_images(2)
    apply = jax.jit(model.apply)
    first = apply(variables, images, jnp.array([0, 0])).features["holistic"]
    second = apply(variables, images, jnp.array([0, 2])).features["holistic"]
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
        return outputs[0].features["holistic"]

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


@pytest.mark.slow
def test_full_size_parameters_have_the_released_shapes():
    shapes = shapes_of(NetworkSpec("b16", (256, 128), 16, num_classes=702))
    released_arrays = flatten_dict(released.dpeformer(), sep="/")
    assert shapes == {path: array.shape for path, array in released_arrays.items()}


SWITCHES = {
    "selection": "all",
    "similarity": "cosine",
    "count": "above",
    "bands": "raster",
    "blending": False,
}


@pytest.mark.parametrize("field", [*SWITCHES, "stripes"])
@pytest.mark.slow
def test_a_switch_changes_the_parts_and_leaves_the_rest(field):
    changes = {"bands": "stripes"} if field == "stripes" else {field: SWITCHES[field]}
    model, usual = small_model(size=(128, 64), **changes), small_model(size=(128, 64))
    variables, images = variables_of(usual), random_images(4, seed=3, size=(128, 64))
    if field == "blending":
        assert "blending" not in variables_of(model)["params"]
        params = {name: x for name, x in variables["params"].items() if name != "blending"}
        with_switch = model.apply({**variables, "params": params}, images)
    else:
        with_switch = model.apply(variables, images)
    expected = usual.apply(variables, images).features
    np.testing.assert_array_equal(with_switch.features["holistic"], expected["holistic"])
    assert np.abs(with_switch.features["parts"] - expected["parts"]).max() > 1e-3
    assert with_switch.selection.kept.all() == (field == "selection")
