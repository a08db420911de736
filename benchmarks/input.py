"""Measures the input: decoding, batches from memory, and how long training waits for them.

python -m benchmarks.input --variant nano8 --image-size 64 32 --batch-size 32

A setting gives three lines: images a second of one core from JPEG files (peer: Pillow in a plain
loop); the same from decoded images in memory; and the percentage of a training loop's time that it
waits for its next batch. The pictures are drawn people, 256 x 128 pixels as files.
"""

import dataclasses
import io
import time
from collections.abc import Iterator

import jax
import numpy as np
from PIL import Image

from benchmarks.measure import Program, alternate, report
from benchmarks.peers import comparison
from benchmarks.pictures import DrawnRecords
from benchmarks.setting import Setting, measure_all
from benchmarks.training import IMAGES_PER_IDENTITY, Training
from data.pipeline import Cameras, Loading, Sampling, TrainingSplit
from dpeformer_jax.runtime.devices import prefetch

PICTURES = 128  # drawn at least; a batch where that is more
STEPS = 8  # of the training loop, for each repeat


def measure(setting: Setting, repeats: int) -> None:
    """Prints the lines of one setting."""
    config = dataclasses.asdict(setting)
    records = pictures(setting)
    files, memory = (split(setting, records, cache, threads=1) for cache in ("none", "memory"))
    images = files.plan(1).size

    timing = alternate(epoch_of(files), plain_decoding(setting, records, files.plan(1)), repeats)
    peer = comparison("Pillow in a loop", timing, images)
    report("input_decoding", config, images / timing.first, "images/s a core", peer)

    timing = alternate(epoch_of(memory), None, repeats)
    report("input_cached", config, images / timing.first, "images/s a core")

    threads = setting.config.data.loader_threads
    loaded = split(setting, records, "memory", threads)
    waited, total = waiting(Training(setting), loaded, STEPS * repeats)
    more = {"wait_ms": 1e3 * waited, "step_ms": 1e3 * total}
    report("input_waiting", config, 100 * waited / total, "% of the step", **more)


def pictures(setting: Setting) -> DrawnRecords:
    """Draws people enough for a batch."""
    count = max(PICTURES, setting.batch_size)
    return DrawnRecords(count // IMAGES_PER_IDENTITY, IMAGES_PER_IDENTITY)


def split(setting: Setting, records: DrawnRecords, cache: str, threads: int) -> TrainingSplit:
    """Returns the pictures as training reads them."""
    sampling = Sampling(setting.batch_size // IMAGES_PER_IDENTITY, IMAGES_PER_IDENTITY, seed=0)
    loading = Loading(setting.image_size, cache, None, threads, processes=0)
    cameras = Cameras.of([("drawn", records.cameras, {})])
    return TrainingSplit("train", records, {}, cameras, loading, sampling=sampling)


def epoch_of(images: TrainingSplit) -> Program:
    """Returns a program that reads all batches of an epoch."""
    return Program(lambda: [pixels.shape for pixels in images.batches(images.plan(1))])


def plain_decoding(setting: Setting, records: DrawnRecords, plan: np.ndarray) -> Program:
    """Returns a program that decodes the same pictures by Pillow, without a loader or batches."""
    size = setting.image_size[::-1]

    def decode(index: int) -> np.ndarray:
        with Image.open(io.BytesIO(records.encoded(index))) as image:
            return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))

    return Program(lambda: [decode(index).shape for index in plan.flat])


def waiting(training: Training, images: TrainingSplit, steps: int) -> tuple[float, float]:
    """Returns the mean seconds that a training loop waits for a batch, and that a step takes.

    As in training, the loop asks for a batch while the step before it runs.
    """
    # One plan for all steps, since an epoch of these few pictures is shorter than a real one.
    epochs = range(1, 2 + (steps + 1) // len(images.plan(1)))
    plan = np.concatenate([images.plan(epoch) for epoch in epochs])
    batches = prefetch(labelled(images, plan), training.experiment.mesh)
    running = jax.block_until_ready(training.step(next(batches)))  # compiles, fills the cache
    waited, start = 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        before, running = running, training.step(batch)
        jax.block_until_ready(before)
    jax.block_until_ready(running)
    return waited / steps, (time.perf_counter() - start) / steps


def labelled(images: TrainingSplit, plan: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """Yields the batches of a plan [S, B] as a training step takes them."""
    for row, pixels in zip(plan, images.batches(plan), strict=True):
        labels = {"label": images.labels[row], "camera_row": images.camera_rows[row]}
        yield {"image": pixels, **labels}


if __name__ == "__main__":
    measure_all(__doc__, measure)
