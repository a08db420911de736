"""A training to be interrupted: the "mu" network on toy images, as a process of its own.

python tests/drill.py WORKDIR [FIELD=VALUE ...]   fields of config.train; batches take 50 ms each
"""

import ast
import sys
import time
from pathlib import Path

from toy import ToyImages, toy_bank, toy_config

from dpeformer_jax.errors import ConfigError
from dpeformer_jax.training import loop
from dpeformer_jax.training.experiment import build
from dpeformer_jax.training.lock import held
from dpeformer_jax.training.workdir import make_workdir

PACE = 0.05  # seconds: so that a fast machine takes as many steps between two kills as a slow one


class PacedImages(ToyImages):
    def batches(self, plan):
        for batch in super().batches(plan):
            time.sleep(PACE)
            yield batch


def main(workdir: str, *fields: str) -> None:
    config = toy_config(epochs=40, checkpoint_every=1000, log_every=7)
    config.train.checkpoint_every_minutes = 0.6 / 60
    for name, value in (field.split("=") for field in fields):
        config.train[name] = ast.literal_eval(value)
    experiment = build(config, num_classes=4, num_cameras=2)
    tests = [loop.TestSet("toy", ToyImages(seed=1), ToyImages(seed=2))]
    make_workdir(Path(workdir))
    with held(Path(workdir)):
        print("ready", flush=True)
        loop.train(experiment, Path(workdir), PacedImages(), tests, toy_bank())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
