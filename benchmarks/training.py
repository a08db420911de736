"""Builds the training of a setting on a random batch, for the benchmarks that need one."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np

from benchmarks.measure import Program
from benchmarks.setting import Setting
from configs.unpack import experiment_of
from dpeformer_jax.base.interfaces import OccluderBank
from dpeformer_jax.runtime.devices import replicated, split_by_example
from dpeformer_jax.training.step import Resident, compile_step, gather_over, make_views

IDENTITIES = 702  # as in Occluded-Duke
CAMERAS = tuple(("occluded_duke", number) for number in range(1, 9))
IMAGES_PER_IDENTITY = 4
CUTOUTS = 96  # as many as are drawn by default

Batch = dict[str, jax.Array]


class Training:
    """The inputs of a training step on the devices: state, batch, learning rates, cut-outs."""

    def __init__(self, setting: Setting):
        self.experiment = experiment_of(setting.config, IDENTITIES, CAMERAS)
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
        """Makes one update from a batch, by default the random one; returns the metrics."""
        batch = self.batch if batch is None else batch
        self.state, metrics = self.compiled(self.state, batch, self.rates, self.resident)
        return metrics

    def views_maker(self) -> Callable[[], jax.Array]:
        """Returns the part of the step that makes the batch's views [V, B, H, W, 3]."""
        make = partial(make_views, settings=self.experiment.views, gather=gather_over(None))
        keys = jax.random.split(jax.random.key(0), len(self.batch["label"]))
        return partial(jax.jit(make), keys, self.batch, self.resident)


def carrying(step: Callable[..., tuple[Any, Any]], state: Any, *inputs: Any) -> Program:
    """Returns a program that carries a state from call to call.

    Args:
        step: (state, *inputs) -> (state, result).
        state: of the first call; it is donated.
        inputs: of every call.
    """
    step = jax.jit(step, donate_argnums=0)

    def run() -> Any:
        nonlocal state
        state, result = step(state, *inputs)
        return result

    return Program(run)


def random_batch(setting: Setting) -> dict[str, np.ndarray]:
    """Returns a batch of noise, with as many images of an identity as the published recipe."""
    rng, count = np.random.default_rng(0), setting.batch_size
    return {
        "image": rng.integers(0, 256, (count, *setting.image_size, 3), np.uint8),
        "label": (np.arange(count) // IMAGES_PER_IDENTITY % IDENTITIES).astype(np.int32),
        "camera_row": rng.integers(0, len(CAMERAS), count).astype(np.int32),
    }


def random_bank(size: tuple[int, int]) -> OccluderBank:
    """Returns cut-outs of noise, half of them tall: what they show does not change the time."""
    images = np.random.default_rng(1).integers(0, 256, (CUTOUTS, *size, 4), np.uint8)
    return OccluderBank(images, np.arange(CUTOUTS) % 2 == 0)
