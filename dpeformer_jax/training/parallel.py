"""One step function, two ways to run it on many devices: sharded arrays (jit), or pmap."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from dpeformer_jax.devices import AXIS, on_all_devices, replicated, split_by_example
from dpeformer_jax.training.experiment import Experiment
from dpeformer_jax.training.nonfinite import Metrics
from dpeformer_jax.training.state import TrainState
from dpeformer_jax.training.step import train_step

Step = Callable[..., tuple[TrainState, Metrics]]


def compile_step(experiment: Experiment) -> Step:
    """The step compiled for all devices, by config.parallel; the state is donated.

    Either way it takes and gives global arrays: the state on every device, the batch split.
    """
    config = experiment.config
    step = partial(
        train_step,
        key=jax.random.key(config.seed),
        model=experiment.model,
        tx=experiment.tx,
        weights=experiment.loss_weights,
        padding=config.views.padding,
        second=config.views.second,
        on_nonfinite=config.train.on_nonfinite,
    )
    if config.parallel == "pmap":
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
