"""Runs the one step function on many devices in two ways: sharded arrays (jit), or pmap."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from dpeformer_jax.runtime.devices import AXIS, on_all_devices, replicated, split_by_example
from dpeformer_jax.training.divergence import Metrics
from dpeformer_jax.training.experiment import Experiment
from dpeformer_jax.training.state import TrainState
from dpeformer_jax.training.step import train_step

Step = Callable[..., tuple[TrainState, Metrics]]


def compile_step(experiment: Experiment) -> Step:
    """Returns the step for all devices, in the experiment's way; the state is donated.

    Either way the step takes and gives global arrays: the state on every device, the batch split.
    """
    step = partial(
        train_step,
        key=jax.random.key(experiment.seed),
        network=experiment.network,
        tx=experiment.tx,
        objective=experiment.objective,
        padding=experiment.views.padding,
        occlusion=experiment.views.occlusion,
        on_nonfinite=experiment.train.on_nonfinite,
    )
    if experiment.parallel == "pmap":
        return _mapped(step, experiment)
    return jax.jit(step, donate_argnums=0, out_shardings=replicated(experiment.mesh))


def _mapped(step: Step, experiment: Experiment) -> Step:
    mesh = experiment.mesh
    of_devices = jax.pmap(
        partial(step, axis=AXIS),
        AXIS,
        in_axes=(None, 0, None, None),
        out_axes=None,
        donate_argnums=0,
        devices=list(mesh.devices.flat),  # in the order in which batches lie on them
    )
    shares = jax.jit(
        lambda batch: jax.tree.map(lambda x: x.reshape(mesh.size, -1, *x.shape[1:]), batch),
        out_shardings=split_by_example(mesh),
    )

    def mapped(state: TrainState, batch: Any, *rest: Any) -> tuple[TrainState, Metrics]:
        # What pmap gives lies on this process's devices; checkpoints want it on all.
        return on_all_devices(of_devices(state, shares(batch), *rest), mesh)

    return mapped
