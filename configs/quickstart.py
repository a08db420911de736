"""Trains a small network on drawn people, from random weights, in minutes on two CPU cores.

python main.py --config=configs/quickstart.py --workdir=runs/quickstart

It takes about three minutes. The mAP of the concatenated feature rises from 1.7 % to 26.9 %, with a
standard deviation of 2.8 over five seeds (docs/results.md).

A network without pretrained weights needs help to start learning: small pictures, AdamW, a softer
memory softmax, and the triplet loss, which compares features before any classifier knows them.
"""

from ml_collections import ConfigDict

from configs import default

OF_FAMILY = {"clipreid": "clip_nano8", "pass": "pass_nano8"}  # instead of "nano8"


def get_config(preset: str = "") -> ConfigDict:
    """Returns the published losses and views for a network of 0.2 million parameters."""
    config = default.get_config(preset)

    config.data.variant = "small"
    config.data.image_size = (64, 32)
    config.views.padding = 3

    config.model.variant = OF_FAMILY.get(config.model.family, "nano8")
    config.model.stride = 8
    config.model.min_patches = 8
    config.model.drop_path = 0.0

    config.loss.temperature = 0.2
    config.loss.triplet = 1.0

    config.optim.name = "adamw"
    config.optim.schedule = "cosine"
    config.optim.lr = 4e-3
    config.optim.bias_lr_factor = 1.0
    config.optim.weight_decay = 0.05
    config.optim.warmup_epochs = 3

    config.train.batch_size = 32
    config.train.epochs = 32
    config.train.checkpoint_every = 4
    config.train.log_every = 20
    return config
