"""A training to be interrupted: the "mu" network on toy images, as a process of its own.

python tests/drill.py WORKDIR [FIELD=VALUE ...]   fields of the config, and pace: seconds that each
batch takes at the least, so that a fast machine does no more between two kills than a slow one
"""

import ast
import logging
import sys
import time
from pathlib import Path

from toy import ToyImages, toy_bank, toy_config

from dpeformer_jax.errors import ConfigError
from dpeformer_jax.training import loop
from dpeformer_jax.training.experiment import build
from dpeformer_jax.training.lock import held


class PacedImages(ToyImages):
    def __init__(self, pace):
        super().__init__()
        self._pace = pace

    def batches(self, plan):
        for batch in super().batches(plan):
            time.sleep(self._pace)
            yield batch


def main(workdir: Path, pace: float = 0.05, **fields: float) -> None:
    config = toy_config(epochs=100, checkpoint_every=1000, log_every=7)
    config.train.checkpoint_every_minutes = 0.6 / 60
    config.update_from_flattened_dict(fields)
    experiment = build(config, num_classes=4, num_cameras=2)
    tests = [loop.TestSet("toy", ToyImages(seed=1), ToyImages(seed=2))]
    with held(workdir):
        print("ready", flush=True)
        loop.train(experiment, workdir, PacedImages(pace), tests, toy_bank())


if __name__ == "__main__":
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # as main.py
    fields = dict(field.split("=") for field in sys.argv[2:])
    try:
        main(Path(sys.argv[1]), **{name: ast.literal_eval(v) for name, v in fields.items()})
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
