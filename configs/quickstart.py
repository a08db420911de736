"""Five minutes on two CPU cores: drawn people, a small network from scratch.

python main.py --config=configs/quickstart.py --workdir=runs/quickstart
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """A network that learns from nothing within minutes."""
    config = default.get_config()
    config.data.variant = "small"
    config.data.image_size = (128, 64)
    config.model.variant = "nano8"
    config.model.stride = 8
    config.optim.name = "adamw"
    config.optim.lr = 1e-3
    config.optim.bias_lr_factor = 1.0
    config.optim.weight_decay = 0.05
    config.optim.warmup_epochs = 2
    config.train.batch_size = 32
    config.train.epochs = 12
    config.train.log_every = 20
    return config
