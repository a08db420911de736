"""Estimates how long the full recipe trains on Occluded-Duke: minutes, from 200 real steps.

python -m benchmarks.recipe --dtype bfloat16 --attention cudnn --repeats 1

The steps are those of a training, on a random batch that lies on the device. Loading, scores and
checkpoints are not in the estimate. The sampling plan leaves some images of an epoch out, so a
training makes fewer steps than are counted here.
"""

import dataclasses
import statistics

from benchmarks.measure import Program, report
from benchmarks.setting import Setting, measure_all
from benchmarks.training import Training

IMAGES = 15_618  # that Occluded-Duke trains on
MEASURED_STEPS = 200


def measure(setting: Setting, repeats: int) -> None:
    """Prints the line of one setting."""
    training = Training(setting)
    program = Program(training.step)
    program.seconds()  # compiles
    step = statistics.median(program.seconds(MEASURED_STEPS) for _ in range(repeats))
    steps = steps_of(setting)
    report(
        "recipe",
        dataclasses.asdict(setting) | {"attention": training.experiment.network.attention},
        steps * step / 60,
        f"min for {steps:,} steps",
        steps_per_s=1 / step,
    )


def steps_of(setting: Setting) -> int:
    """Returns the most steps that the recipe's epochs can have."""
    return IMAGES // setting.batch_size * setting.config.train.epochs


if __name__ == "__main__":
    measure_all(__doc__, measure)
