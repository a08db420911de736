"""Networks on disk, and training that starts from one."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from toy import toy_spec, toy_variables, toy_weights

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.checksums import fingerprint, fingerprints
from dpeformer_jax.checkpoint.pretrained import start_from
from dpeformer_jax.checkpoint.store import Checkpoints
from dpeformer_jax.checkpoint.weights import Weights, find_checkpoints, load_weights, save_weights


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


CLASSIFIERS = {f"{name}_classifier" for name in ("holistic", "blended", "global", "part")}


def fresh_variables(spec):
    """Other random values than those of toy_weights."""
    return jax.tree.map(lambda x: x + 1, toy_variables(spec))


def backbone_of(weights):
    params = {"backbone": weights.variables["params"]["backbone"]}
    return Weights(weights.folder, weights.spec, {"params": params}, None)


def test_what_is_saved_comes_back_bitwise(tmp_path):
    weights = toy_weights(sie_rows=2, cameras=(("toy", 1), ("other", 7)))
    save_weights(tmp_path, weights)
    loaded = load_weights(tmp_path)
    assert equal(loaded.variables, weights.variables) and loaded.spec == weights.spec
    np.testing.assert_array_equal(loaded.memory, weights.memory)
    assert loaded.complete and not backbone_of(weights).complete


def test_the_newest_step_of_a_training_is_found(tmp_path):
    weights = toy_weights()
    items = {"variables": weights.variables, "memory": {"features": weights.memory}}
    with Checkpoints(tmp_path / "checkpoints", weights.spec) as checkpoints:
        for step in (9, 10):
            checkpoints.save(step, items)
    newest = tmp_path / "checkpoints/10"
    shutil.copytree(newest, tmp_path / "checkpoints/11.orbax-checkpoint-tmp")
    for path in (tmp_path, tmp_path / "checkpoints", newest):
        assert find_checkpoints(path)[0] == newest
    loaded = load_weights(tmp_path)
    assert equal(loaded.variables, weights.variables) and loaded.spec == weights.spec
    assert loaded.step == 10


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match="none is not a folder"):
        load_weights(tmp_path / "none")
    with pytest.raises(UserError, match="holds no checkpoint"):
        load_weights(tmp_path)


@pytest.mark.parametrize("broken", ["_METADATA", "manifest.ocdbt"])
def test_a_damaged_checkpoint_is_named(tmp_path, broken):
    save_weights(tmp_path, toy_weights())
    (tmp_path / "variables" / broken).write_bytes(b"\0" * 40)
    with pytest.raises(UserError, match="is damaged"):
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
    with pytest.raises(UserError, match="is damaged"):
        load_weights(tmp_path)


def test_a_whole_network_starts_all_but_the_classifiers():
    weights, other = toy_weights(), toy_weights(num_classes=9)
    fresh = fresh_variables(other.spec)
    started, kept = start_from(weights, fresh, other.spec)
    assert kept == CLASSIFIERS
    for name, value in started["params"].items():
        source = fresh if name in CLASSIFIERS else weights.variables
        assert equal(value, source["params"][name]), name
    assert equal(started["batch_stats"], weights.variables["batch_stats"])


def test_a_backbone_leaves_the_heads_fresh():
    weights = backbone_of(toy_weights())
    fresh = fresh_variables(weights.spec)
    started, kept = start_from(weights, fresh, weights.spec)
    assert kept == CLASSIFIERS | {"blending", "holistic_norm", "part_norm"}
    assert equal(started["params"]["backbone"], weights.variables["params"]["backbone"])
    assert equal(started["params"]["blending"], fresh["params"]["blending"])


def test_positions_are_resized_to_another_grid():
    weights, spec = toy_weights((64, 64)), toy_spec((128, 64))
    started, _ = start_from(weights, fresh_variables(spec), spec)
    old, new = (x["params"]["backbone"]["pos_embed"] for x in (weights.variables, started))
    np.testing.assert_array_equal(new[:, 0], old[:, 0])
    grid, rows = old[0, 1:].reshape(4, 4, -1), new[0, 1:].reshape(8, 4, -1)
    np.testing.assert_allclose(rows[1], 0.75 * grid[0] + 0.25 * grid[1], atol=1e-6)
    np.testing.assert_allclose(rows[0], grid[0], atol=1e-6)


CAMERAS = (("toy", 1), ("toy", 2), ("toy", 3))


def sie_tables(cameras, source=CAMERAS):
    """(saved, fresh, started) tables of a start on those cameras, and the parts left fresh."""
    weights = toy_weights(sie_rows=3, cameras=source)
    spec = toy_spec(sie_rows=len(cameras), cameras=cameras)
    fresh = fresh_variables(spec)
    started, kept = start_from(weights, fresh, spec)
    found = weights.variables, fresh, started
    return [x["params"]["backbone"].get("sie_embed") for x in found], kept


def test_rows_of_cameras_are_carried_by_name():
    (saved, fresh, started), kept = sie_tables((("toy", 3), ("new", 1), ("toy", 1)))
    np.testing.assert_array_equal(started, np.stack([saved[2], fresh[1], saved[0]]))
    assert "sie_embed" not in kept


@pytest.mark.parametrize("source", [CAMERAS, ()], ids=["named", "unnamed"])
def test_equally_many_other_cameras_start_fresh(source):
    others = tuple(("market", number) for number in (1, 2, 3))
    (_, fresh, started), kept = sie_tables(others, source)
    np.testing.assert_array_equal(started, fresh)
    assert "sie_embed" in kept


def test_a_network_without_side_information_leaves_it_out():
    (_, _, started), kept = sie_tables(())
    assert started is None and "sie_embed" not in kept


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path, caplog):
    weights = toy_weights()
    items = {"variables": weights.variables, "memory": {"features": weights.memory}}
    with Checkpoints(tmp_path / "checkpoints", weights.spec) as checkpoints:
        for step in (9, 10):
            checkpoints.save(step, items)
    (tmp_path / "checkpoints/10/contents/metadata").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    assert load_weights(tmp_path).step == 9
    assert "checkpoints/10 is damaged" in caplog.text and sorted(tmp_path.rglob("*")) == before
    with pytest.raises(UserError, match="10 is damaged"):
        load_weights(tmp_path / "checkpoints/10")


def test_the_fingerprint_is_of_every_array():
    first, again = (toy_weights().variables for _ in range(2))
    assert fingerprint(fingerprints(first)) == fingerprint(fingerprints(again))
    again["batch_stats"]["part_norm"]["mean"][0, 0] += 1e-6
    assert fingerprint(fingerprints(first)) != fingerprint(fingerprints(again))


@pytest.mark.parametrize("left", ["", "model"])
def test_an_empty_checkpoint_gives_way_to_the_one_before(tmp_path, left):
    weights = toy_weights()
    items = {"variables": weights.variables, "memory": {"features": weights.memory}}
    with Checkpoints(tmp_path / "checkpoints", weights.spec) as checkpoints:
        checkpoints.save(9, items)
    (tmp_path / "checkpoints/10" / left).mkdir(parents=True)
    assert load_weights(tmp_path).step == 9


def test_another_variant_is_named_with_both_sizes():
    weights = toy_weights()
    with pytest.raises(UserError, match="'mu' .width 32, depth 2.*'b16' is another .width 768"):
        start_from(weights, weights.variables, dataclasses.replace(weights.spec, variant="b16"))


def test_missing_left_over_and_misshapen_names_are_listed():
    weights = toy_weights()
    fresh = fresh_variables(weights.spec)
    params = flatten_dict(weights.variables, sep="/")
    del fresh["params"]["backbone"]["norm"]["bias"]  # so that the saved one is left over
    del weights.variables["params"]["blending"]["q"]
    weights.variables["params"]["part_norm"]["scale"] = np.ones((3, 32), np.float32)
    with pytest.raises(UserError) as error:
        start_from(weights, fresh, weights.spec)
    told = str(error.value)
    assert "-params/blending/q/kernel" in told and "+params/backbone/norm/bias" in told
    assert "params/part_norm/scale: expected (4, 32), found (3, 32)" in told
    assert "params/part_norm/scale" in params


def test_a_memory_bank_alone_is_no_network(tmp_path):
    save_weights(tmp_path, Weights(tmp_path, None, {}, np.ones((3, 8), np.float32)))
    loaded = load_weights(tmp_path)
    assert loaded.spec is None and loaded.memory.shape == (3, 8)
    with pytest.raises(UserError, match="memory bank and no network"):
        start_from(loaded, {}, toy_spec())
