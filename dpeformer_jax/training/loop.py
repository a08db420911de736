"""The loop around the training step."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dpeformer_jax.base.interfaces import OccluderBank, TrainingImages
from dpeformer_jax.checkpoint.pretrained import start_from
from dpeformer_jax.checkpoint.store import Checkpoints
from dpeformer_jax.checkpoint.weights import CHECKPOINTS, load_weights
from dpeformer_jax.runtime.devices import on_each, own_places, prefetch, replicated
from dpeformer_jax.runtime.processes import agreed, is_first
from dpeformer_jax.training import memory
from dpeformer_jax.training.divergence import Metrics, refuse_nonfinite
from dpeformer_jax.training.experiment import Experiment, TrainState
from dpeformer_jax.training.interruption import Interruption
from dpeformer_jax.training.journal import Journal
from dpeformer_jax.training.objective import MEMORY_FEATURE
from dpeformer_jax.training.step import Resident, compile_step
from dpeformer_jax.training.timetable import Timetable
from dpeformer_jax.training.trace import Trace
from dpeformer_jax.training.watching import Watch
from dpeformer_jax.training.workdir import check_data, record_data

LOG = logging.getLogger(__name__)


def train(
    experiment: Experiment,
    workdir: Path,
    images: TrainingImages,
    bank: OccluderBank | None,
    trained_on: Mapping[str, Any],
    score: Callable[[Any, int, str], None],
    watch: Watch | None = None,
) -> None:
    """Trains to the last epoch, from the newest checkpoint if there is one.

    Args:
        workdir: takes checkpoints and records.
        bank: cut-outs for the occluded view "roa".
        trained_on: fingerprints of images and cut-outs.
        score: fn(variables, steps done, name of the report), for the first and the last network.
        watch: what is looked at between them.

    Raises:
        UserError: the checkpoints are of other data, or of another network.
        Interrupted: SIGTERM or SIGINT came. The running step is done and saved.
    """
    with Interruption() as interruption:
        with Checkpoints(workdir / CHECKPOINTS, experiment.spec) as checkpoints:
            if checkpoints.newest is None:
                checkpoints.refuse_damaged()
                record_data(workdir, trained_on, images.digests)
                state = with_pretrained(experiment, experiment.fresh_state())
                score(state.variables, 0, "eval_initial.json")
                state = with_memory(experiment, state, images)
                checkpoints.save(0, state.items)  # so that a resumed run does none of this again
            else:
                check_data(workdir, trained_on)
                state = TrainState.from_items(checkpoints.restore(experiment.state_like().items))
                LOG.info("continuing from step %d in %s", checkpoints.newest, workdir)
            kept = checkpoints, interruption
            state = run_epochs(experiment, workdir, *kept, state, images, bank, watch)
        score(state.variables, int(state.step), "eval.json")


def run_epochs(
    experiment: Experiment,
    workdir: Path,
    checkpoints: Checkpoints,
    interruption: Interruption,
    state: TrainState,
    images: TrainingImages,
    bank: OccluderBank | None,
    watch: Watch | None = None,
) -> TrainState:
    """Takes all steps from the state, which is that of the newest checkpoint, to the last."""
    settings = experiment.train
    lengths = [len(images.plan(epoch)) for epoch in range(1, settings.epochs + 1)]
    saves = settings.checkpoint_every, settings.checkpoint_every_minutes
    timetable = Timetable(lengths, *saves, watch_every=watch.every if watch else 0)
    step, sums = int(state.step), checkpoints.notes
    if step == timetable.total:
        LOG.info("all %d epochs are done; a higher config.train.epochs goes on", settings.epochs)
        return state
    first, done = timetable.place(step)
    step_fn = compile_step(experiment)
    own = own_places(experiment.mesh, settings.batch_size)
    pixels = images.pixels if experiment.images_on_device else None
    resident = on_each(Resident(bank, pixels), experiment.mesh)
    running = None  # metrics of the step in flight, fetched after the next one is dispatched
    journal = Journal(workdir, step, timetable.total, settings.log_every, settings.batch_size, sums)
    with journal, Trace(workdir / "trace", settings.trace) as trace, interruption.steps_first():
        if timetable.watched(step):
            (known,) = agreed(is_first() and journal.has_watched(step))
            if not known:  # a signal came first
                journal.watched(step, first - 1, watch.look(state.variables, step))
        for epoch in range(first, settings.epochs + 1):
            rates = experiment.schedule.rates(epoch)
            plan = images.plan(epoch)[done if epoch == first else 0 :, own]
            for batch in prefetch(_loaded(images, plan, pixels is not None), experiment.mesh):
                state, metrics = step_fn(state, batch, rates, resident)
                step += 1
                trace.follow(metrics)
                if running is not None:
                    journal.add(*_fetch(*running))
                running = step, epoch, rates.weights, metrics
                due, leaving = agreed(timetable.due(step), interruption.wanted)
                watched = timetable.watched(step)
                if due or leaving or watched:
                    journal.add(*_fetch(*running))
                    running = None
                if watched and not leaving:
                    journal.watched(step, epoch, watch.look(state.variables, step))
                if due or leaving:
                    checkpoints.save(step, state.items, journal.sums)
                    timetable.saved()
                if leaving:
                    told = f"step {step} is done and saved in {workdir}; the same command goes on"
                    interruption.leave(told)
    return state


def with_pretrained(experiment: Experiment, state: TrainState) -> TrainState:
    """Returns the state with the weights to start from, if any; UserError where they do not fit."""
    if not experiment.start:
        return state
    weights = load_weights(Path(experiment.start))
    variables, fresh = start_from(weights, state.variables, experiment.spec)
    LOG.info("weights from %s; fresh: %s", weights.folder, ", ".join(sorted(fresh)))
    return state.replace(**jax.device_put(variables, replicated(experiment.mesh)))


def with_memory(experiment: Experiment, state: TrainState, images: TrainingImages) -> TrainState:
    """Returns the state with its memory bank, if it has one, filled from the training set."""
    if state.memory is None:
        return state
    means = memory.ClassMeans(*state.memory.shape)
    found = experiment.features.batches(state.variables, images, images.camera_rows, "memory")
    for features, places in found:
        means.add(features[MEMORY_FEATURE], images.labels[places])
    return state.replace(memory=jax.device_put(means.mean(), replicated(experiment.mesh)))


def _loaded(images: TrainingImages, plan: np.ndarray, on_device: bool):
    """Yields a process's part of each batch of a plan [S, B]: pixels or places, and labels."""
    pictures = plan.astype(np.int32) if on_device else images.batches(plan)
    name = "index" if on_device else "image"
    for row, picture in zip(plan, pictures, strict=True):
        yield {name: picture, "label": images.labels[row], "camera_row": images.camera_rows[row]}


def _fetch(step: int, epoch: int, lr: float, metrics: Metrics):
    """Returns the arguments of Journal.add; raises UserError where a term is not finite."""
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    refuse_nonfinite(step, values)
    return step, epoch, lr, values
