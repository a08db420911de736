"""Measures training steps of the whole network: pairs of views a second.

python -m benchmarks.train_step --batch-size 32 64 --dtype float32 bfloat16

Peer: timm's plain ViT on as many views, compiled on GPUs. The memory on a GPU is the peak of the
process so far, so give each setting a process of its own. A CPU does not report a peak; there the
memory is what the compiled program plans. The attention is the one that the device computes, which
may be another than was asked for.
"""

import dataclasses

import jax

from benchmarks import peers
from benchmarks.flops import forward_flops
from benchmarks.measure import Program, alternate, matmul_peak, planned_memory, report
from benchmarks.setting import Setting, measure_all
from benchmarks.training import Training

VIEWS = 2
TRAINING = 3  # times the FLOPs of the forward pass: the gradient of a product is two products


def measure(setting: Setting, repeats: int) -> None:
    """Prints the line of one setting."""
    training = Training(setting)
    timing = alternate(Program(training.step), peers.peer("training", setting), repeats)
    planned = planned_memory(training.compiled)
    memory = peak_memory() or planned  # before other programs run
    flops = TRAINING * VIEWS * setting.batch_size * forward_flops(setting)
    report(
        "train_step",
        dataclasses.asdict(setting) | {"attention": training.experiment.network.attention},
        setting.batch_size / timing.first,
        "pairs/s",
        peers.comparison("timm ViT, training step", timing, setting.batch_size),
        steps_per_s=1 / timing.first,
        share_of_matmul_peak=flops / timing.first / matmul_peak(setting.dtype),
        peak_memory_bytes=memory,
        planned_memory_bytes=planned,
    )


def peak_memory() -> int | None:
    """Returns the peak of one device's memory in bytes, None where the device does not tell."""
    stats = jax.local_devices()[0].memory_stats()
    return stats["peak_bytes_in_use"] if stats else None


if __name__ == "__main__":
    measure_all(__doc__, measure)
