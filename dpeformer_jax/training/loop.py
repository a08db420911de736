"""The loop around the training step."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import jax
import numpy as np

from dpeformer_jax.checkpoint import Checkpoints
from dpeformer_jax.devices import on_each, own_places, prefetch, replicated
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.pretrained import CLASSIFIERS, start_from
from dpeformer_jax.processes import agreed
from dpeformer_jax.retrieval.evaluate import Images, evaluate, table, write_report
from dpeformer_jax.training import memory
from dpeformer_jax.training.experiment import Experiment
from dpeformer_jax.training.interruption import Interruption
from dpeformer_jax.training.journal import Journal
from dpeformer_jax.training.nonfinite import refuse_nonfinite
from dpeformer_jax.training.occlusion import OccluderBank
from dpeformer_jax.training.parallel import compile_step
from dpeformer_jax.training.state import TrainState
from dpeformer_jax.training.step import Metrics, Resident
from dpeformer_jax.training.timetable import Timetable
from dpeformer_jax.training.trace import Trace
from dpeformer_jax.training.workdir import check_data, record_data, recorded_data
from dpeformer_jax.weights import Weights, load_weights


class TrainingImages(Images, Protocol):
    """Labelled training images.

    labels: [M] identities as 0..C-1; pixels: all images, [M, H, W, 3] uint8. `plan(epoch)` gives
    the indices [S, B] of an epoch's batches, epochs counted from 1; `indices(plan)` yields them as
    `batches` does, with "index" [B] in the place of "image".
    """

    labels: np.ndarray

    @property
    def pixels(self) -> np.ndarray: ...

    def plan(self, epoch: int) -> np.ndarray: ...

    def indices(self, plan: np.ndarray) -> Iterator[dict[str, np.ndarray]]: ...


@dataclasses.dataclass(frozen=True)
class TestSet:
    """Query and gallery under the name that eval.json gives them.

    provenance: what eval.json says of where they come from.
    """

    name: str
    query: Images
    gallery: Images
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def train(
    experiment: Experiment,
    workdir: Path,
    images: TrainingImages,
    test_sets: Sequence[TestSet],
    bank: OccluderBank | None,
    trained_on: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Trains to the last epoch, from the newest checkpoint if there is one, and scores.

    Args:
        trained_on: fingerprints of images and cut-outs, for eval.json.

    Returns:
        The content of eval.json.

    Raises:
        ConfigError: the checkpoints are of other data, or of another network.
        Interrupted: SIGTERM or SIGINT came; the step that was running is done and saved.
    """
    with Interruption() as interruption:
        with Checkpoints(workdir / "checkpoints", experiment.description) as checkpoints:
            if checkpoints.newest is None:
                checkpoints.refuse_damaged()
                record_data(workdir, trained_on)
                state = with_pretrained(experiment, experiment.fresh_state())
                report(experiment, state, test_sets, workdir / "eval_initial.json")
                state = with_memory(experiment, state, images)
                checkpoints.save(0, state.items)  # all this is not done again
            else:
                check_data(workdir, trained_on)
                state = TrainState.from_items(checkpoints.restore(experiment.state_like().items))
                print(f"continuing from step {checkpoints.newest} in {workdir}", flush=True)
            state = run_epochs(experiment, workdir, checkpoints, interruption, state, images, bank)
        path = workdir / "eval.json"
        return report(experiment, state, test_sets, path, trained_on=recorded_data(workdir))


def run_epochs(
    experiment: Experiment,
    workdir: Path,
    checkpoints: Checkpoints,
    interruption: Interruption,
    state: TrainState,
    images: TrainingImages,
    bank: OccluderBank | None,
) -> TrainState:
    """All steps from the state's, which is that of the newest checkpoint, to the last."""
    config = experiment.config.train
    lengths = [len(images.plan(epoch)) for epoch in range(1, config.epochs + 1)]
    timetable = Timetable(lengths, config.checkpoint_every, config.checkpoint_every_minutes)
    step, sums = int(state.step), checkpoints.notes
    if step == timetable.total:
        return state
    first, done = timetable.place(step)
    step_fn = compile_step(experiment)
    own = own_places(experiment.mesh, config.batch_size)
    on_device = experiment.config.data.cache == "device"
    load = images.indices if on_device else images.batches
    resident = on_each(Resident(bank, images.pixels if on_device else None), experiment.mesh)
    running = None  # metrics of the step in flight, fetched after the next one is dispatched
    with (
        Journal(
            workdir, step, timetable.total, config.log_every, config.batch_size, sums
        ) as journal,
        Trace(workdir / "trace", config.trace) as trace,
        interruption.steps_first(),
    ):
        for epoch in range(first, config.epochs + 1):
            rates = experiment.schedule.rates(epoch)
            plan = images.plan(epoch)[done if epoch == first else 0 :, own]
            for batch in prefetch(load(plan), experiment.mesh):
                state, metrics = step_fn(state, batch, rates, resident)
                step += 1
                trace.follow(metrics)
                if running is not None:
                    journal.add(*_fetch(*running))
                running = step, epoch, rates.weights, metrics
                due, leaving = agreed(timetable.due(step), interruption.wanted)
                if due or leaving:
                    journal.add(*_fetch(*running))
                    running = None
                    checkpoints.save(step, state.items, journal.sums)
                    timetable.saved()
                if leaving:
                    interruption.leave(
                        f"step {step} is done and saved in {workdir}; the same command goes on"
                    )
    return state


def with_pretrained(experiment: Experiment, state: TrainState) -> TrainState:
    """The state with the weights of config.init.checkpoint, where it names one.

    Raises:
        ConfigError: they do not fit the network.
    """
    path = experiment.config.init.checkpoint
    if not path:
        return state
    state, fresh = _laid_over(experiment, state, load_weights(Path(path).expanduser()))
    print(f"weights from {path}; fresh: {', '.join(sorted(fresh))}", flush=True)
    return state


def with_memory(experiment: Experiment, state: TrainState, images: TrainingImages) -> TrainState:
    """The state with its memory bank filled by a pass over the training set."""
    means = memory.ClassMeans(*state.memory.shape)
    for features, places in experiment.extractor.batches(state.variables, images, "memory"):
        means.add(features["holistic"], images.labels[places])
    return state.replace(memory=jax.device_put(means.mean(), replicated(experiment.mesh)))


def evaluate_newest(
    experiment: Experiment, workdir: Path, test_sets: Sequence[TestSet]
) -> dict[str, Any]:
    """Scores the newest checkpoint of a workdir; writes and returns the content of eval.json.

    Raises:
        ConfigError: the workdir holds no checkpoint, or one of another network.
    """
    if not (workdir / "checkpoints").is_dir():
        raise ConfigError(f"--workdir={workdir} holds no checkpoint; train first")
    folder = workdir / "checkpoints"
    with Checkpoints(folder, experiment.description, read_only=True) as checkpoints:
        state = TrainState.from_items(checkpoints.restore(experiment.state_like().items))
    path = workdir / "eval.json"
    return report(experiment, state, test_sets, path, trained_on=recorded_data(workdir))


def evaluate_checkpoint(
    experiment: Experiment, path: Path, workdir: Path, test_sets: Sequence[TestSet]
) -> dict[str, Any]:
    """Scores a checkpoint from elsewhere, of any training set; otherwise as evaluate_newest.

    Raises:
        ConfigError: there is none, it does not fit, or it is not a whole network.
    """
    weights = load_weights(path)
    state, fresh = _laid_over(experiment, experiment.fresh_state(), weights)
    if lacking := fresh - CLASSIFIERS:
        raise ConfigError(
            f"--checkpoint={path} lacks {', '.join(sorted(lacking))}, so its features would be "
            "random; train from it with --config.init.checkpoint"
        )
    path = workdir / "eval.json"
    return report(experiment, state, test_sets, path, checkpoint=str(weights.folder))


def report(
    experiment: Experiment,
    state: TrainState,
    test_sets: Sequence[TestSet],
    path: Path,
    **source: Any,
) -> dict[str, Any]:
    """Scores a state on all test sets, prints the table and writes it and `source` to `path`."""
    warn_of_mixing(experiment)
    result = {
        **source,
        "step": int(state.step),
        "datasets": {
            t.name: {
                **t.provenance,
                **evaluate(
                    experiment.extractor, state.variables, t.query, t.gallery, experiment.rerank
                ),
            }
            for t in test_sets
        },
    }
    write_report(path, result)
    print(f"scores at step {result['step']} (percent; also in {path})\n{table(result)}", flush=True)
    return result


def warn_of_mixing(experiment: Experiment) -> None:
    """Says so where features depend on more than their image, as in the preset "released"."""
    if experiment.model.mixes_batch:
        print(
            "warning: with config.model.pooling or head_merge = 'batch' the features of an image "
            f"depend on the others of its batch of {experiment.extractor.batch_size}; these scores "
            "change with config.eval.batch_size and with the order of files",
            flush=True,
        )


def _laid_over(
    experiment: Experiment, state: TrainState, weights: Weights
) -> tuple[TrainState, set[str]]:
    variables, fresh = start_from(weights, state.variables, experiment.description)
    variables = jax.device_put(variables, replicated(experiment.mesh))
    return state.replace(**variables), fresh


def _fetch(step: int, epoch: int, lr: float, metrics: Metrics):
    """The arguments of Journal.add.

    Raises:
        ConfigError: a term is not finite.
    """
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    refuse_nonfinite(step, values)
    return step, epoch, lr, values
