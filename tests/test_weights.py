"""Networks on disk, and training that starts from one."""

import json
import shutil

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from toy import toy_weights
from variables import random_variables

from dpeformer_jax.checkpoint import Checkpoints
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.model.description import build_model
from dpeformer_jax.pretrained import CLASSIFIERS, start_from
from dpeformer_jax.weights import Weights, find_checkpoint, load_weights, save_weights


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def fresh_variables(model):
    """Other random values than those of toy_weights."""
    image = np.zeros((1, *model["image_size"], 3), np.float32)
    variables = random_variables(build_model(model), image, np.zeros(1, np.int32))
    return jax.tree.map(lambda x: x + 1, variables)


def backbone_of(weights):
    params = {"backbone": weights.variables["params"]["backbone"]}
    return Weights(weights.folder, weights.model, {"params": params}, None)


def test_what_is_saved_comes_back_bitwise(tmp_path):
    weights = toy_weights(sides=3)
    save_weights(tmp_path, weights)
    loaded = load_weights(tmp_path)
    assert equal(loaded.variables, weights.variables) and loaded.model == weights.model
    np.testing.assert_array_equal(loaded.memory, weights.memory)
    assert loaded.complete and not backbone_of(weights).complete


def test_the_newest_step_of_a_training_is_found(tmp_path):
    weights = toy_weights()
    items = {"variables": weights.variables, "memory": {"features": weights.memory}}
    with Checkpoints(tmp_path / "checkpoints", weights.model) as checkpoints:
        for step in (9, 10):
            checkpoints.save(step, items)
    newest = tmp_path / "checkpoints/10"
    shutil.copytree(newest, tmp_path / "checkpoints/11.orbax-checkpoint-tmp")
    for path in (tmp_path, tmp_path / "checkpoints", newest):
        assert find_checkpoint(path) == newest
    loaded = load_weights(tmp_path)
    assert equal(loaded.variables, weights.variables) and loaded.model == weights.model


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(ConfigError, match="none is not a folder"):
        load_weights(tmp_path / "none")
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        load_weights(tmp_path)


@pytest.mark.parametrize("broken", ["_METADATA", "manifest.ocdbt"])
def test_a_damaged_checkpoint_is_named(tmp_path, broken):
    save_weights(tmp_path, toy_weights())
    (tmp_path / "variables" / broken).write_bytes(b"\0" * 40)
    with pytest.raises(ConfigError, match="is damaged"):
        load_weights(tmp_path)


@pytest.mark.parametrize(
    "change", [{"variant": "zz"}, {"parts": 2}, None], ids=["variant", "parts", "no model"]
)
def test_arrays_that_are_not_of_the_model_are_named(tmp_path, change):
    save_weights(tmp_path, toy_weights())
    metadata = tmp_path / "model/metadata"
    if change is None:
        metadata.unlink()
    else:
        metadata.write_text(json.dumps(json.loads(metadata.read_text()) | change))
    with pytest.raises(ConfigError, match="is damaged"):
        load_weights(tmp_path)


def test_a_whole_network_starts_all_but_the_classifiers():
    weights, other = toy_weights(), toy_weights(num_classes=9)
    fresh = fresh_variables(other.model)
    started, kept = start_from(weights, fresh, other.model)
    assert kept == CLASSIFIERS
    for name, value in started["params"].items():
        source = fresh if name in CLASSIFIERS else weights.variables
        assert equal(value, source["params"][name]), name
    assert equal(started["batch_stats"], weights.variables["batch_stats"])


def test_a_backbone_leaves_the_heads_fresh():
    weights = backbone_of(toy_weights())
    fresh = fresh_variables(weights.model)
    started, kept = start_from(weights, fresh, weights.model)
    assert kept == CLASSIFIERS | {"blending", "holistic_norm", "part_norm"}
    assert equal(started["params"]["backbone"], weights.variables["params"]["backbone"])
    assert equal(started["params"]["blending"], fresh["params"]["blending"])


def test_positions_are_resized_to_another_grid():
    weights, model = toy_weights((64, 64)), toy_weights((128, 64)).model
    started, _ = start_from(weights, fresh_variables(model), model)
    old, new = (x["params"]["backbone"]["pos_embed"] for x in (weights.variables, started))
    np.testing.assert_array_equal(new[:, 0], old[:, 0])
    grid, rows = old[0, 1:].reshape(4, 4, -1), new[0, 1:].reshape(8, 4, -1)
    np.testing.assert_allclose(rows[1], 0.75 * grid[0] + 0.25 * grid[1], atol=1e-6)
    np.testing.assert_allclose(rows[0], grid[0], atol=1e-6)


def test_a_side_embedding_of_other_cameras_is_left_out():
    weights = toy_weights(sides=3)
    for sides, kept_fresh in ((3, False), (0, False), (2, True)):
        model = toy_weights(sides=sides).model
        fresh = fresh_variables(model)
        started, kept = start_from(weights, fresh, model)
        assert ("sie_embed" in kept) == kept_fresh
        if sides == 3:
            table = started["params"]["backbone"]["sie_embed"]
            np.testing.assert_array_equal(
                table, weights.variables["params"]["backbone"]["sie_embed"]
            )


def test_another_variant_is_named_with_both_sizes():
    weights = toy_weights()
    with pytest.raises(ConfigError, match="'mu' .width 32, depth 2.*'b16' is another .width 768"):
        start_from(weights, weights.variables, weights.model | {"variant": "b16"})


def test_missing_left_over_and_misshapen_names_are_listed():
    weights = toy_weights()
    fresh = fresh_variables(weights.model)
    params = flatten_dict(weights.variables, sep="/")
    del fresh["params"]["backbone"]["norm"]["bias"]  # so that the saved one is left over
    del weights.variables["params"]["blending"]["q"]
    weights.variables["params"]["part_norm"]["scale"] = np.ones((3, 32), np.float32)
    with pytest.raises(ConfigError) as error:
        start_from(weights, fresh, weights.model)
    told = str(error.value)
    assert "-params/blending/q/kernel" in told and "+params/backbone/norm/bias" in told
    assert "params/part_norm/scale: expected (4, 32), found (3, 32)" in told
    assert "params/part_norm/scale" in params


def test_a_memory_bank_alone_is_no_network(tmp_path):
    save_weights(tmp_path, Weights(tmp_path, None, {}, np.ones((3, 8), np.float32)))
    loaded = load_weights(tmp_path)
    assert loaded.model is None and loaded.memory.shape == (3, 8)
    with pytest.raises(ConfigError, match="memory bank and no network"):
        start_from(loaded, {}, {})
