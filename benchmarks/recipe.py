"""Estimates how long the full recipe trains on Occluded-Duke: minutes, from 200 real steps.

python -m benchmarks.recipe --dtype bfloat16 --attention cudnn --repeats 1

The loop is that of a training: threads make batches of drawn people, decoded in memory, and each
goes to the device while the step before it runs. Scores and checkpoints are not in the estimate.
The sampling plan leaves some images of an epoch out, so a training makes fewer steps than are
counted here.
"""

import dataclasses

from benchmarks.input import pictures, split, waiting
from benchmarks.measure import report
from benchmarks.setting import Setting, measure_all
from benchmarks.training import Training

IMAGES = 15_618  # that Occluded-Duke trains on
MEASURED_STEPS = 200


def measure(setting: Setting, repeats: int) -> None:
    """Prints the line of one setting."""
    training, threads = Training(setting), setting.config.data.loader_threads
    images = split(setting, pictures(setting), "memory", threads)
    waited, step = waiting(training, images, MEASURED_STEPS * repeats)
    steps = steps_of(setting)
    report(
        "recipe",
        dataclasses.asdict(setting) | {"attention": training.experiment.network.attention},
        steps * step / 60,
        f"min for {steps:,} steps",
        steps_per_s=1 / step,
        waiting_percent=100 * waited / step,
    )


def steps_of(setting: Setting) -> int:
    """Returns the most steps that the recipe's epochs can have."""
    return IMAGES // setting.batch_size * setting.config.train.epochs


if __name__ == "__main__":
    measure_all(__doc__, measure)
