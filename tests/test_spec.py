"""A network's spec, and what becomes of one that another version wrote."""

import json

import pytest
from toy import toy_spec

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.model.spec import PRESETS, VERSION, NetworkSpec

VERSION_1 = {
    "variant": "mu",
    "image_size": [32, 16],
    "dtype": "bfloat16",
    "stride": 8,
    "num_classes": 3,
    "parts": 2,
    "min_patches": 2,
    "sides": 2,
    "side_coefficient": 1.5,
    "global_token": "first_patch",
    "pooling": "batch",
    "head_merge": "image",
}


def test_json_gives_the_spec_back():
    spec = toy_spec(sie_rows=2, cameras=(("market", 1), ("duke", 4)), **PRESETS["released"])
    stored = json.loads(json.dumps(spec.to_json()))
    assert stored["version"] == VERSION
    found = NetworkSpec.from_json(stored)
    assert found == spec and hash(found) == hash(spec)


def test_a_spec_of_version_1_is_the_network_of_then():
    assert NetworkSpec.from_json(VERSION_1) == NetworkSpec(
        variant="mu",
        image_size=(32, 16),
        stride=8,
        num_classes=3,
        parts=2,
        min_patches=2,
        global_token="first_patch",
        pooling="batch",
        sie_rows=2,
        sie_coefficient=1.5,
        dtype="bfloat16",
    )


@pytest.mark.parametrize("name", ["family", "parts", "sie_rows", "cameras", "dtype"])
def test_a_field_that_an_older_version_lacks_has_its_default(name):
    stored = toy_spec().to_json()
    del stored[name]
    assert NetworkSpec.from_json(stored) == toy_spec()


def test_an_unknown_field_of_a_newer_version_is_refused_with_one_sentence():
    stored = toy_spec().to_json() | {"version": 4, "layer_scale": 0.1}
    told = "version 4. has the field layer_scale.*up to 3; update dpeformer_jax$"
    with pytest.raises(UserError, match=told):
        NetworkSpec.from_json(stored)
    with pytest.raises(UserError, match="version 4. is newer.*up to 3; update dpeformer_jax$"):
        NetworkSpec.from_json(toy_spec().to_json() | {"version": 4})


def test_unnamed_cameras_can_be_named_once():
    unnamed = NetworkSpec.from_json(VERSION_1)
    with pytest.raises(UserError, match="2 cameras without their names"):
        unnamed.rows_of([("market", 1)])
    with pytest.raises(UserError, match="embeds 2 cameras and the training set has 3"):
        unnamed.with_cameras((("market", 1), ("market", 2), ("market", 3)))
    named = unnamed.with_cameras((("market", 1), ("market", 5)))
    assert named.rows_of([("market", 5), ("market", 1)]).tolist() == [1, 0]


def test_without_side_information_every_camera_has_row_0():
    assert toy_spec().rows_of([("any", 1), ("other", 2)]).tolist() == [0, 0]
