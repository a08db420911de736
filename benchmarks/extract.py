"""Features as evaluation takes them, from uint8 images in memory: images a second.

python -m benchmarks.extract --batch-size 1 8 128 --dtype float32 bfloat16

Peer: timm's bare ViT on as many images, compiled on GPUs.
"""

import dataclasses
from collections.abc import Iterator

import jax
import numpy as np

from benchmarks import peers
from benchmarks.flops import forward_flops
from benchmarks.measure import Program, alternate, matmul_peak, report
from benchmarks.setting import Setting, measure_all
from benchmarks.training import CAMERAS, IDENTITIES, random_batch
from dpeformer_jax.training.experiment import build


class OneBatch:
    """Images, as evaluation wants them, that fill a batch exactly."""

    def __init__(self, batch: dict[str, np.ndarray]):
        self._batch = batch
        self.identities, self.cameras, self.sides = batch["label"], batch["camera"], batch["camera"]

    def batches(self, plan: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
        """The batch, once for each row of the plan."""
        for _ in plan:
            yield self._batch


def measure(setting: Setting, repeats: int) -> None:
    """Prints the line of one setting."""
    experiment = build(setting.config, IDENTITIES, CAMERAS)
    variables = experiment.fresh_state().variables
    batch = random_batch(setting)

    def features() -> dict[str, jax.Array]:
        (found,) = experiment.extractor.batches(variables, OneBatch(batch), "features")
        return found[0]

    timing = alternate(Program(features), peers.peer("inference", setting), repeats)
    flops = setting.batch_size * forward_flops(setting)
    report(
        "extract",
        dataclasses.asdict(setting),
        setting.batch_size / timing.first,
        "images/s",
        peers.comparison("timm ViT, inference", timing, setting.batch_size),
        share_of_matmul_peak=flops / timing.first / matmul_peak(setting.dtype),
    )


if __name__ == "__main__":
    measure_all(__doc__, measure)
