"""The one feature pass: every picture counts once, in order, whatever the batch."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from many_devices import environment_with
from toy import SIZE, ToyImages, toy_spec, toy_variables

from dpeformer_jax.features import FeaturePass, at_unit_length, unit_length
from dpeformer_jax.model.families import build_network
from dpeformer_jax.runtime.devices import data_mesh

ROOT = Path(__file__).parents[1]
NAMES = ("holistic", "parts")
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


class Nothing:
    """No picture."""

    def __len__(self):
        return 0

    def batches(self, plan):
        return (np.zeros((len(row), *SIZE, 3), np.uint8) for row in plan)


def test_no_pictures_give_empty_features_of_the_right_width():
    found = feature_pass()(VARIABLES, Nothing(), ROWS[:0])
    assert {name: value.shape for name, value in found.items()} == {
        "holistic": (0, 4 * 32),
        "parts": (0, 4 * 32),
        "selected": (0, 8),
    }


def test_no_pictures_give_an_empty_share():
    features, places = feature_pass().share(VARIABLES, Nothing(), ROWS[:0], NAMES, dtype="float16")
    assert places.shape == (0,)
    assert {name: (x.shape, x.dtype) for name, x in features.items()} == {
        name: ((0, 4 * 32), np.float16) for name in NAMES
    }


def test_features_of_length_1_have_no_concatenation_beside_them(features):
    found = feature_pass()(VARIABLES, ToyImages(), ROWS, scaled=True)
    assert found.keys() == features.keys()
    for name in NAMES:
        np.testing.assert_allclose(found[name], unit_length(features[name]), atol=1e-6)
    np.testing.assert_array_equal(found["selected"], features["selected"])


@pytest.mark.parametrize("scaled", [False, True])
def test_the_share_of_a_single_process_is_everything(features, scaled):
    share, places = feature_pass(7).share(VARIABLES, ToyImages(), ROWS, NAMES, scaled=scaled)
    assert places.tolist() == list(range(24)) and tuple(share) == NAMES
    for name, value in share.items():
        expected = unit_length(features[name]) if scaled else features[name]
        np.testing.assert_allclose(value, expected, atol=1e-5)


def test_a_share_is_rounded_last():
    whole, rounded = (
        feature_pass().share(VARIABLES, ToyImages(), ROWS, NAMES, "", True, dtype)[0]
        for dtype in ("float32", "float16")
    )
    for name in NAMES:
        assert rounded[name].dtype == np.float16
        np.testing.assert_array_equal(rounded[name], whole[name].astype(np.float16))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [20, 48])  # 24 pictures fill 1.2 and 0.5 batches
def test_two_processes_share_the_pictures(tmp_path, features, batch_size):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    files = [tmp_path / f"{process}.npz" for process in range(2)]
    command = [sys.executable, "tests/toy_shares.py"]
    processes = [
        subprocess.Popen(
            [*command, str(file), str(batch_size), str(process), "2", address],
            cwd=ROOT,
            env=environment_with(devices=2),
        )
        for process, file in enumerate(files)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    shares = [np.load(file) for file in files]
    first, second = (share["places"] for share in shares)
    assert first.tolist() == sorted(first) and second.tolist() == sorted(second)
    np.testing.assert_array_equal(np.sort(np.concatenate([first, second])), np.arange(24))
    assert (len(second) > 0) == (batch_size < 48)
    for share in shares:
        for name in NAMES:
            expected = features[name][share["places"]]
            np.testing.assert_allclose(share[name], expected, atol=1e-5)


# A process of its own, since only the highest memory of a process's whole life is known.
MEMORY = """
from pathlib import Path
from types import SimpleNamespace
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from dpeformer_jax.features import FeaturePass
from dpeformer_jax.runtime.devices import data_mesh

class Wide(nn.Module):
    def __call__(self, image, camera_row):
        wide = jnp.repeat(image.mean(axis=(1, 2, 3))[:, None], 8192, axis=1)
        return SimpleNamespace(features={"wide": wide}, selection=None)

class Dots:
    def __init__(self, count): self._count = count
    def __len__(self): return self._count
    def batches(self, plan): return (np.ones((len(row), 4, 4, 3), np.uint8) for row in plan)

def highest():
    told = Path("/proc/self/status").read_text().split("VmHWM:")[1]
    return 1024 * int(told.split()[0])

network = FeaturePass(Wide(), data_mesh(), 64)
network({}, Dots(256), np.zeros(256, np.int32))
before = highest()
found = network({}, Dots(8192), np.zeros(8192, np.int32))
print(found["wide"].nbytes, highest() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the highest memory")
def test_features_are_held_once():
    command = [sys.executable, "-c", MEMORY]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    features, taken = map(int, told.split())
    assert features == 8192 * 8192 * 4 and taken < 1.25 * features, (features, taken)


def test_the_flip_test_is_the_mean_over_a_picture_and_its_mirror_image(features):
    flipped = feature_pass(flip=True)(VARIABLES, ToyImages(), ROWS)
    mirrored = feature_pass()(VARIABLES, Mirrored(), ROWS)
    for name in ("holistic", "parts"):
        mean = (features[name] + mirrored[name]) / 2
        np.testing.assert_allclose(flipped[name], mean, atol=1e-5)
        assert np.abs(flipped[name] - features[name]).max() > 1e-3
    np.testing.assert_array_equal(flipped["selected"], features["selected"])


@pytest.mark.slow
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
