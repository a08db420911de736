"""A data set in memory that the package takes for a real one, and networks small enough for it."""

from pathlib import Path

import numpy as np
from variables import random_variables

from configs import quickstart
from dpeformer_jax.model.description import build_model, describe
from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.model.vit import VARIANTS
from dpeformer_jax.weights import Weights

SIZE = (64, 32)


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


def toy_weights(size=SIZE, **fields):
    """A whole "mu" network with random weights and a memory bank."""
    fields = {"stride": 16, "num_classes": 5, "min_patches": 4} | fields
    model = describe(DPEFormer(VARIANTS["mu"], **fields), size)
    image, side = np.zeros((1, *size, 3), np.float32), np.zeros(1, np.int32)
    variables = random_variables(build_model(model), image, side)
    memory = np.random.default_rng(7).standard_normal((5, 4 * 32)).astype(np.float32)
    return Weights(Path(), model, variables, memory)


class ToyImages:
    """Identities of one colour each, six images an identity, two cameras."""

    def __init__(self, identities=4, seed=0, images_each=6):
        rng = np.random.default_rng(seed)
        self.identities = np.repeat(np.arange(1, identities + 1), images_each)
        self.labels = (self.identities - 1).astype(np.int32)
        self.sides = (np.arange(len(self.labels)) % 2).astype(np.int32)
        self.cameras = self.sides + 1
        colours = np.random.default_rng(5).integers(60, 196, (identities, 1, 1, 3))
        noise = rng.integers(-60, 60, (len(self.labels), *SIZE, 3))
        self.pixels = (colours[self.labels] + noise).astype(np.uint8)

    def plan(self, epoch):
        """Batches of 8: two images of each of four identities."""
        rng = np.random.default_rng(epoch)
        order = np.argsort(self.labels + rng.random(len(self.labels)) / 2)
        return order.reshape(4, 3, 2).transpose(1, 0, 2).reshape(3, 8)

    def batches(self, plan):
        for row, told in zip(plan, self.indices(plan), strict=True):
            yield {"image": self.pixels[row], **{n: told[n] for n in ("label", "camera")}}

    def indices(self, plan):
        for row in plan:
            yield {"index": row, "label": self.labels[row], "camera": self.sides[row]}


def toy_bank():
    """One dark and one light opaque cut-out, wide and tall."""
    from dpeformer_jax.training.occlusion import OccluderBank

    images = np.full((2, 8, 8, 4), 255, np.uint8)
    images[0, ..., :3] = 20
    return OccluderBank(images, np.array([False, True]))
