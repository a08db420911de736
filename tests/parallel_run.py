"""A training of the "mu" network on toy images on many devices, as a process of its own.

python tests/parallel_run.py WORKDIR [FIELD=VALUE ...]   fields of the config

The places of every batch that this process loaded are written to WORKDIR/order-PROCESS.json.
"""

import ast
import json
import sys
import time
from pathlib import Path

import jax
from toy import ToyImages, toy_bank, toy_config

from dpeformer_jax.processes import failing_together, join_processes
from dpeformer_jax.training import loop
from dpeformer_jax.training.experiment import build
from dpeformer_jax.training.lock import held


class Recorded(ToyImages):
    """Images that remember which of them were asked for, in which order."""

    def __init__(self, pace):
        super().__init__()
        self.order, self._pace = [], pace

    def batches(self, plan):
        for row, batch in zip(plan.tolist(), super().batches(plan), strict=True):
            self.order.append(row)
            time.sleep(self._pace)
            yield batch


def main(workdir: Path, pace: str, *fields: str) -> None:
    # SGD: the first steps of Adam turn the sign of a gradient near 0 into a whole step.
    config = toy_config(epochs=7, log_every=1)
    config.optim.name = "sgd"
    for name, value in (field.split("=") for field in fields):
        config.update_from_flattened_dict({name: ast.literal_eval(value)})
    join_processes(config.distributed)
    experiment = build(config, num_classes=4, num_cameras=2)
    images = Recorded(float(pace))
    tests = [loop.TestSet("toy", ToyImages(seed=1), ToyImages(seed=2))]
    with held(workdir):
        loop.train(experiment, workdir, images, tests, toy_bank())
    (workdir / f"order-{jax.process_index()}.json").write_text(json.dumps(images.order))


if __name__ == "__main__":
    with failing_together():
        main(Path(sys.argv[1]), *sys.argv[2:])
