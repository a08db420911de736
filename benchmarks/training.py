"""The training of this program on a random batch, for the benchmarks that need one."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np

from benchmarks.measure import Program
from benchmarks.setting import Setting
from dpeformer_jax.devices import replicated, split_by_example
from dpeformer_jax.training.experiment import build
from dpeformer_jax.training.occlusion import OccluderBank
from dpeformer_jax.training.parallel import compile_step
from dpeformer_jax.training.step import Resident, gather_over, make_views

IDENTITIES, CAMERAS = 702, 8  # of Occluded-Duke
IMAGES_PER_IDENTITY = 4
CUTOUTS = 96  # as many as are drawn by default

Batch = dict[str, jax.Array]


class Training:
    """What a step takes, on the devices: state, batch, learning rates, cut-outs."""

    def __init__(self, setting: Setting):
        self.experiment = build(setting.config, IDENTITIES, CAMERAS)
        mesh = self.experiment.mesh
        self.state = self.experiment.fresh_state()
        self.batch = jax.device_put(random_batch(setting), split_by_example(mesh))
        self.rates = self.experiment.schedule.rates(1)
        self.resident = jax.device_put(Resident(random_bank(setting.image_size)), replicated(mesh))

    @cached_property
    def compiled(self) -> jax.stages.Compiled:
        """The whole step."""
        step = compile_step(self.experiment)
        return step.lower(self.state, self.batch, self.rates, self.resident).compile()

    def step(self, batch: Batch | None = None) -> dict[str, jax.Array]:
        """One update, from the random batch unless another is given; returns the metrics."""
        batch = self.batch if batch is None else batch
        self.state, metrics = self.compiled(self.state, batch, self.rates, self.resident)
        return metrics

    def views_maker(self) -> Callable[[], jax.Array]:
        """What makes the two views of the batch [2, B, H, W, 3] as the step does, and no more."""
        fields = self.experiment.config.views
        fixed = {"padding": fields.padding, "second": fields.second, "gather": gather_over(None)}
        keys = jax.random.split(jax.random.key(0), len(self.batch["label"]))
        return partial(jax.jit(partial(make_views, **fixed)), keys, self.batch, self.resident)


def carrying(step: Callable[..., tuple[Any, Any]], state: Any, *inputs: Any) -> Program:
    """Calls a step (state, *inputs) -> (state, result) again and again; the state is donated."""
    step = jax.jit(step, donate_argnums=0)

    def run() -> Any:
        nonlocal state
        state, result = step(state, *inputs)
        return result

    return Program(run)


def random_batch(setting: Setting) -> dict[str, np.ndarray]:
    """Noise, so many images of each identity as the published recipe takes."""
    rng, count = np.random.default_rng(0), setting.batch_size
    return {
        "image": rng.integers(0, 256, (count, *setting.image_size, 3), np.uint8),
        "label": (np.arange(count) // IMAGES_PER_IDENTITY % IDENTITIES).astype(np.int32),
        "camera": rng.integers(0, CAMERAS, count).astype(np.int32),
    }


def random_bank(size: tuple[int, int]) -> OccluderBank:
    """Noise as cut-outs, half of them tall: what they show makes no difference to the time."""
    images = np.random.default_rng(1).integers(0, 256, (CUTOUTS, *size, 4), np.uint8)
    return OccluderBank(images, np.arange(CUTOUTS) % 2 == 0)
