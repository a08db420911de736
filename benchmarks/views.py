"""Measures what making the two views costs, as a percentage of the training step.

python -m benchmarks.views --batch-size 64

Augmentation and occlusion by cut-outs (ROA) alone are timed against the whole step, which contains
them.
"""

import dataclasses

from benchmarks.measure import Program, alternate, report
from benchmarks.setting import Setting, measure_all
from benchmarks.training import Training


def measure(setting: Setting, repeats: int) -> None:
    """Prints the line of one setting."""
    training = Training(setting)
    views, step = Program(training.views_maker()), Program(training.step)
    timing = alternate(views, step, repeats)
    report(
        "views",
        dataclasses.asdict(setting),
        100 / timing.ratio,
        "% of the step",
        views_ms=1e3 * timing.first,
        step_ms=1e3 * timing.second,
    )


if __name__ == "__main__":
    measure_all(__doc__, measure)
