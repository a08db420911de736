"""A data set in memory that the package takes for a real one, and networks small enough for it."""

from pathlib import Path

import numpy as np
from variables import random_variables

from configs import quickstart, unpack
from dpeformer_jax.base.interfaces import OccluderBank, TestSet
from dpeformer_jax.checkpoint.weights import Weights
from dpeformer_jax.model.families import build_network, example
from dpeformer_jax.model.spec import NetworkSpec

SIZE = (64, 32)
CAMERAS = (("toy", 1), ("toy", 2))


def toy_config(preset="", **train):
    """The "mu" network on toy images; drop path and augmentation are on."""
    config = quickstart.get_config(preset)
    config.model.update({"variant": "mu", "stride": 16, "min_patches": 4, "drop_path": 0.2})
    config.data.image_size = SIZE
    config.train.update({"batch_size": 8, "epochs": 2, "checkpoint_every": 1, "log_every": 2})
    config.train.update(train)
    config.optim.warmup_epochs = 1
    config.eval.batch_size = 8
    return config


def toy_experiment(config):
    """What trains the config's network on ToyImages."""
    return unpack.experiment_of(config, num_classes=4, cameras=CAMERAS)


def toy_spec(size=SIZE, **fields):
    """Of a "mu" network."""
    return NetworkSpec(
        **{"variant": "mu", "image_size": size, "stride": 16, "num_classes": 5, "min_patches": 4}
        | fields
    )


def toy_variables(spec):
    """Random variables of the network that the spec defines."""
    return random_variables(build_network(spec), *example(spec))


def toy_weights(size=SIZE, **fields):
    """A whole "mu" network with random weights and a memory bank."""
    spec = toy_spec(size, **fields)
    memory = np.random.default_rng(7).standard_normal((5, 4 * 32)).astype(np.float32)
    return Weights(Path(), spec, toy_variables(spec), memory)


class ToyImages:
    """Identities of one colour each, six images an identity, two cameras."""

    def __init__(self, identities=4, seed=0, images_each=6):
        rng = np.random.default_rng(seed)
        self.identities = np.repeat(np.arange(1, identities + 1), images_each)
        self.paths = [f"{i}_{number}.png" for number, i in enumerate(self.identities)]
        self.digests = [f"{seed} {path}".encode() for path in self.paths]
        self.identity_names = [f"person {i}" for i in self.identities]
        self.labels = (self.identities - 1).astype(np.int32)
        self.camera_names = CAMERAS
        self.camera_rows = (np.arange(len(self)) % 2).astype(np.int32)
        self.cameras = self.camera_rows + 1
        colours = np.random.default_rng(5).integers(60, 196, (identities, 1, 1, 3))
        noise = rng.integers(-60, 60, (len(self), *SIZE, 3))
        self.pixels = (colours[self.labels] + noise).astype(np.uint8)

    def __len__(self):
        return len(self.identities)

    def plan(self, epoch):
        """Batches of 8: two images of each of four identities."""
        rng = np.random.default_rng(epoch)
        order = np.argsort(self.labels + rng.random(len(self)) / 2)
        return order.reshape(4, 3, 2).transpose(1, 0, 2).reshape(3, 8)

    def batches(self, plan):
        for row in plan:
            yield self.pixels[row]


def toy_tests():
    """One test set of the cameras that ToyImages has."""
    return [TestSet("toy", ToyImages(seed=1), ToyImages(seed=2), {"fingerprint": "f00"})]


def toy_bank():
    """One dark and one light opaque cut-out, wide and tall."""
    images = np.full((2, 8, 8, 4), 255, np.uint8)
    images[0, ..., :3] = 20
    return OccluderBank(images, np.array([False, True]))
