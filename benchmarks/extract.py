"""Measures feature extraction as in evaluation, from uint8 images in memory: images a second.

python -m benchmarks.extract --batch-size 1 8 128 --dtype float32 bfloat16

Peer: timm's plain ViT on as many images, compiled on GPUs. The attention is the one that
the device computes, which may be another than was asked for.
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
from configs.unpack import experiment_of


class OneBatch:
    """Pictures that fill a batch: see `dpeformer_jax.base.interfaces.Images`."""

    def __init__(self, pixels: np.ndarray):
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def batches(self, plan: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the batch without a copy, once for each row of the plan."""
        return (self._pixels for _ in plan)


def measure(setting: Setting, repeats: int) -> None:
    """Prints the line of one setting."""
    experiment = experiment_of(setting.config, IDENTITIES, CAMERAS)
    variables = experiment.fresh_state().variables
    batch = random_batch(setting)
    images, camera_rows = OneBatch(batch["image"]), batch["camera_row"]

    def extract() -> dict[str, jax.Array]:
        ((features, _),) = experiment.features.batches(variables, images, camera_rows)
        return features

    timing = alternate(Program(extract), peers.peer("inference", setting), repeats)
    flops = setting.batch_size * forward_flops(setting)
    report(
        "extract",
        dataclasses.asdict(setting) | {"attention": experiment.network.attention},
        setting.batch_size / timing.first,
        "images/s",
        peers.comparison("timm ViT, inference", timing, setting.batch_size),
        share_of_matmul_peak=flops / timing.first / matmul_peak(setting.dtype),
    )


if __name__ == "__main__":
    measure_all(__doc__, measure)
