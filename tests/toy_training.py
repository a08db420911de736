"""A training of the "mu" network on toy images, as a process of its own.

python tests/toy_training.py WORKDIR [FIELD=VALUE ...]

FIELD is a field of the config, or `pace`: the seconds that each batch takes at the least, so that a
fast machine does no more between two kills than a slow one. WORKDIR/order-PROCESS.json gets the
places of every batch that this process loaded.
"""

import ast
import json
import logging
import sys
import time
from pathlib import Path

import jax
from toy import ToyImages, toy_bank, toy_config, toy_experiment, toy_tests

from configs.unpack import distributed_of
from dpeformer_jax.base.command import log_to_stderr, one_paragraph
from dpeformer_jax.retrieval.evaluate import evaluate
from dpeformer_jax.retrieval.report import write_report
from dpeformer_jax.retrieval.scoring import Scoring
from dpeformer_jax.runtime.processes import failing_together, join_processes
from dpeformer_jax.training.loop import train
from dpeformer_jax.training.workdir import held


class RecordedImages(ToyImages):
    """Images that remember which of them were asked for, in which order."""

    def __init__(self, pace):
        super().__init__()
        self.order, self._pace = [], pace

    def batches(self, plan):
        for row, pixels in zip(plan.tolist(), super().batches(plan), strict=True):
            self.order.append(row)
            time.sleep(self._pace)
            yield pixels


def main(workdir: Path, pace: float = 0.0, **fields: object) -> None:
    config = toy_config(epochs=7, log_every=1)
    # The first steps of Adam turn the sign of a gradient near 0 into a whole step.
    config.optim.name = "sgd"
    config.update_from_flattened_dict(fields)
    join_processes(distributed_of(config))
    experiment, images = toy_experiment(config), RecordedImages(pace)

    def score(variables, step, name):
        arguments = experiment.features, variables, experiment.spec, toy_tests()
        write_report(workdir / name, evaluate(*arguments, Scoring(), {"step": step}))

    with held(workdir):
        logging.getLogger("dpeformer_jax").info("ready")
        train(experiment, workdir, images, toy_bank(), {}, score)
    (workdir / f"order-{jax.process_index()}.json").write_text(json.dumps(images.order))


if __name__ == "__main__":
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # as main.py
    log_to_stderr()
    fields = dict(field.split("=", 1) for field in sys.argv[2:])
    with failing_together(), one_paragraph("toy_training.py"):
        main(Path(sys.argv[1]), **{name: ast.literal_eval(v) for name, v in fields.items()})
