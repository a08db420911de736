"""The one feature pass: every picture counts once, in order, whatever the batch."""

import numpy as np
import pytest
from toy import SIZE, ToyImages, toy_spec, toy_variables

from dpeformer_jax.features import FeaturePass, at_unit_length, unit_length
from dpeformer_jax.model.families import build_network
from dpeformer_jax.runtime.devices import data_mesh

ROWS = np.zeros(24, np.int32)
SPEC = toy_spec()
VARIABLES = toy_variables(SPEC)


def feature_pass(batch_size=8, spec=SPEC, **options):
    return FeaturePass(build_network(spec), data_mesh(), batch_size, **options)


class Mirrored(ToyImages):
    """The same pictures, left and right exchanged."""

    def batches(self, plan):
        return (pixels[:, :, ::-1] for pixels in super().batches(plan))


@pytest.fixture(scope="module")
def features():
    return feature_pass()(VARIABLES, ToyImages(), ROWS)


@pytest.mark.parametrize("batch_size", [7, 40])
def test_every_image_counts_once_whatever_the_batch(features, batch_size):
    found = feature_pass(batch_size)(VARIABLES, ToyImages(), ROWS)
    assert found.keys() == features.keys() == {"holistic", "parts", "selected"}
    for name, value in found.items():
        assert len(value) == len(ToyImages())
        np.testing.assert_allclose(value, features[name], atol=1e-5)


def test_only_what_is_asked_for_reaches_the_host(features):
    found = feature_pass()(VARIABLES, ToyImages(), ROWS, names=["parts"])
    assert list(found) == ["parts"]
    np.testing.assert_array_equal(found["parts"], features["parts"])


def test_a_concatenation_may_be_asked_for_alone(features):
    found = feature_pass()(VARIABLES, ToyImages(), ROWS, names=["concat"])
    expected = at_unit_length({name: features[name] for name in ("holistic", "parts")})
    assert list(found) == ["concat"]
    np.testing.assert_allclose(found["concat"], expected["concat"], atol=1e-6)


def test_batches_stay_on_the_devices_and_name_their_images():
    places, shapes = [], set()
    for found, batch in feature_pass(7).batches(VARIABLES, ToyImages(), ROWS):
        places += batch.tolist()
        shapes.add(found["holistic"].shape)
    assert places == list(range(24)) and shapes == {(7, 4 * 32)}


def test_no_pictures_give_empty_features_of_the_right_width():
    class Nothing:
        def __len__(self):
            return 0

        def batches(self, plan):
            return (np.zeros((len(row), *SIZE, 3), np.uint8) for row in plan)

    found = feature_pass()(VARIABLES, Nothing(), ROWS[:0])
    assert {name: value.shape for name, value in found.items()} == {
        "holistic": (0, 4 * 32),
        "parts": (0, 4 * 32),
        "selected": (0, 8),
    }


def test_the_flip_test_is_the_mean_over_a_picture_and_its_mirror_image(features):
    flipped = feature_pass(flip=True)(VARIABLES, ToyImages(), ROWS)
    mirrored = feature_pass()(VARIABLES, Mirrored(), ROWS)
    for name in ("holistic", "parts"):
        mean = (features[name] + mirrored[name]) / 2
        np.testing.assert_allclose(flipped[name], mean, atol=1e-5)
        assert np.abs(flipped[name] - features[name]).max() > 1e-3
    np.testing.assert_array_equal(flipped["selected"], features["selected"])


def test_a_network_that_mixes_its_batch_can_compute_each_image_alone():
    spec = toy_spec(pooling="batch", head_merge="batch")
    alone, together, one = (
        feature_pass(size, spec, alone=alone)(VARIABLES, ToyImages(), ROWS)["parts"]
        for size, alone in ((8, True), (8, False), (1, False))
    )
    np.testing.assert_allclose(alone, one, atol=1e-5)
    assert np.abs(together - one).max() > 1e-3


def test_one_compilation_serves_any_number_of_images():
    found = feature_pass()
    for images_each in (1, 2, 6):
        images = ToyImages(images_each=images_each)
        found(VARIABLES, images, np.zeros(len(images), np.int32))
    assert found._forward._cache_size() == 1


def test_features_at_length_1_have_a_concatenation_that_weighs_both_the_same(features):
    scaled = at_unit_length({name: features[name] for name in ("holistic", "parts")})
    for value in scaled.values():
        np.testing.assert_allclose(np.linalg.norm(value, axis=1), 1, rtol=1e-5)
    both = np.concatenate([scaled["holistic"], scaled["parts"]], axis=1) / np.sqrt(2)
    np.testing.assert_allclose(scaled["concat"], both, rtol=1e-5)
    assert list(at_unit_length({"after": features["parts"]})) == ["after"]
    np.testing.assert_array_equal(unit_length(np.zeros((1, 3))), np.zeros((1, 3)))
