"""Reading images: decoding, batches out of memory, and how long training waits for them.

python -m benchmarks.input --variant nano8 --image-size 64 32 --batch-size 32

Three lines a setting: images a second of one core from JPEG files (peer: Pillow in a plain loop),
and from the cache of decoded images; and the share of a training loop's time that it spends on
asking for its next batch. The pictures are drawn people, 256 x 128 pixels as files.
"""

import dataclasses
import io
import time

import jax
import numpy as np
from PIL import Image

from benchmarks.measure import Program, alternate, report
from benchmarks.peers import comparison
from benchmarks.pictures import DrawnRecords
from benchmarks.setting import Setting, measure_all
from benchmarks.training import IMAGES_PER_IDENTITY, Training
from data.pipeline import Loading, Sampling, TrainingSplit
from dpeformer_jax.devices import prefetch

PICTURES = 128  # at least; a batch where that is more
STEPS = 8  # of the training loop, for each repeat


def measure(setting: Setting, repeats: int) -> None:
    """Prints the lines of one setting."""
    config = dataclasses.asdict(setting)
    records = DrawnRecords(
        max(PICTURES, setting.batch_size) // IMAGES_PER_IDENTITY, IMAGES_PER_IDENTITY
    )
    files, memory = (split(setting, records, cache, threads=1) for cache in ("none", "memory"))
    images = files.plan(1).size

    timing = alternate(epoch_of(files), plain_decoding(setting, records, files.plan(1)), repeats)
    peer = comparison("Pillow in a loop", timing, images)
    report("input_decoding", config, images / timing.first, "images/s a core", peer)

    timing = alternate(epoch_of(memory), None, repeats)
    report("input_cached", config, images / timing.first, "images/s a core")

    threads = setting.config.data.loader_threads
    loaded = split(setting, records, "memory", threads)
    waited, total = waiting(setting, loaded, STEPS * repeats)
    more = {"wait_ms": 1e3 * waited, "step_ms": 1e3 * total}
    report("input_waiting", config, 100 * waited / total, "% of the step", **more)


def split(setting: Setting, records: DrawnRecords, cache: str, threads: int) -> TrainingSplit:
    """The pictures as training reads them."""
    sampling = Sampling(setting.batch_size // IMAGES_PER_IDENTITY, IMAGES_PER_IDENTITY, seed=0)
    loading = Loading(setting.image_size, cache, None, threads, processes=0)
    sides = (records.cameras - 1).astype(np.int32)
    return TrainingSplit("train", records, sides, loading, sampling=sampling)


def epoch_of(images: TrainingSplit) -> Program:
    """All batches of an epoch."""
    return Program(lambda: [batch["image"].shape for batch in images.batches(images.plan(1))])


def plain_decoding(setting: Setting, records: DrawnRecords, plan: np.ndarray) -> Program:
    """The same pictures by Pillow, without loader, batches or labels."""
    size = setting.image_size[::-1]

    def decode(index: int) -> np.ndarray:
        with Image.open(io.BytesIO(records.encoded(index))) as image:
            return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))

    return Program(lambda: [decode(index).shape for index in plan.flat])


def waiting(setting: Setting, images: TrainingSplit, steps: int) -> tuple[float, float]:
    """Mean seconds that a training loop's `next()` takes, and that all of a step takes.

    As in training, a batch is asked for while the step before it runs.
    """
    training = Training(setting)
    # One plan, since a real epoch is longer than one of these few pictures.
    epochs = range(1, 2 + (steps + 1) // len(images.plan(1)))
    plan = np.concatenate([images.plan(epoch) for epoch in epochs])
    batches = prefetch(images.batches(plan), training.experiment.mesh)
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


if __name__ == "__main__":
    measure_all(__doc__, measure)
