"""The training step and the loop around it."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dpeformer_jax.checkpoint import Checkpoints
from dpeformer_jax.devices import prefetch, replicated
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.retrieval.evaluate import Images, evaluate, table, write_report
from dpeformer_jax.training import memory
from dpeformer_jax.training.augment import two_views
from dpeformer_jax.training.experiment import Experiment
from dpeformer_jax.training.journal import Journal
from dpeformer_jax.training.losses import LossWeights, total_loss
from dpeformer_jax.training.occlusion import OccluderBank, random_erasing, realistic_occlusion
from dpeformer_jax.training.optim import LearningRates
from dpeformer_jax.training.state import TrainState

Metrics = dict[str, jax.Array]


class TrainingImages(Images, Protocol):
    """Labelled training images.

    `plan(epoch)` gives the indices [S, B] of an epoch's batches, epochs counted from 1;
    `batches(plan)` yields them as {"image": uint8 [B, H, W, 3], "label": [B] 0..C-1,
    "camera": [B] row of the SIE}.
    """

    def plan(self, epoch: int) -> np.ndarray: ...

    def batches(self, plan: np.ndarray) -> Iterator[dict[str, np.ndarray]]: ...


@dataclasses.dataclass(frozen=True)
class TestSet:
    """Query and gallery under the name that eval.json gives them."""

    name: str
    query: Images
    gallery: Images


def train_step(
    state: TrainState,
    batch: dict[str, jax.Array],
    rates: LearningRates,
    bank: OccluderBank | None,
    *,
    key: jax.Array,
    model: DPEFormer,
    tx: optax.GradientTransformationExtraArgs,
    weights: LossWeights,
    padding: int,
) -> tuple[TrainState, Metrics]:
    """One update. Pure; without a bank of cut-outs the second view is made by random erasing.

    Randomness is a function of the key, the step and an image's place in the global batch.
    """
    places = jnp.arange(len(batch["label"]))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, state.step), places)
    view_keys, depth_keys = jnp.split(jax.vmap(partial(jax.random.split, num=3))(keys), [1], 1)
    occlude = random_erasing if bank is None else partial(realistic_occlusion, bank=bank)
    make_views = jax.vmap(partial(two_views, padding=padding, occlude=occlude), out_axes=1)
    views = make_views(view_keys[:, 0], batch["image"])

    def loss_fn(params: Any):
        (clean, occluded), updated = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            views,
            batch["camera"],
            depth_keys.T,
            method=model.train_views,
            mutable=["batch_stats"],
        )
        loss, terms = total_loss(clean, occluded, batch["label"], state.memory, weights)
        return loss, (terms, clean, occluded, updated["batch_stats"])

    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (terms, clean, occluded, batch_stats)), grads = grad_fn(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params, learning_rates=rates)
    state = TrainState(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        memory=memory.update(state.memory, clean.holistic, batch["label"]),
        opt_state=opt_state,
    )
    selected = jnp.concatenate([clean.selected, occluded.selected]).sum(axis=1).mean()
    accuracy = (clean.logits.holistic.argmax(axis=1) == batch["label"]).mean()
    metrics = {"loss": loss, **terms, "accuracy": accuracy, "selected": selected}
    return state, {**metrics, "grad_norm": optax.tree.norm(grads)}


def compile_step(experiment: Experiment):
    """The step jitted for this experiment's devices; the state is donated."""
    return jax.jit(
        partial(
            train_step,
            key=jax.random.key(experiment.config.seed),
            model=experiment.model,
            tx=experiment.tx,
            weights=experiment.loss_weights,
            padding=experiment.config.views.padding,
        ),
        donate_argnums=0,
        out_shardings=replicated(experiment.mesh),
    )


def train(
    experiment: Experiment,
    workdir: Path,
    images: TrainingImages,
    test_sets: Sequence[TestSet],
    bank: OccluderBank | None,
) -> dict[str, Any]:
    """Trains to the last epoch, from the newest checkpoint if there is one, and scores.

    Returns:
        The content of eval.json.
    """
    state = experiment.fresh_state()
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        if checkpoints.newest is None:
            report(experiment, state, test_sets, workdir / "eval_initial.json")
            state = with_memory(experiment, state, images)
        else:
            state = checkpoints.restore(state)
            print(f"continuing from step {checkpoints.newest} in {workdir}", flush=True)
        state = run_epochs(experiment, workdir, checkpoints, state, images, bank)
    return report(experiment, state, test_sets, workdir / "eval.json")


def run_epochs(
    experiment: Experiment,
    workdir: Path,
    checkpoints: Checkpoints,
    state: TrainState,
    images: TrainingImages,
    bank: OccluderBank | None,
) -> TrainState:
    """All epochs from the state's step, which ends one, to the last."""
    config = experiment.config.train
    step_fn = compile_step(experiment)
    bank = jax.device_put(bank, replicated(experiment.mesh))
    ends = np.cumsum([len(images.plan(epoch)) for epoch in range(1, config.epochs + 1)])
    step = int(state.step)
    total = int(ends[-1])
    running = None  # metrics of the step in flight, fetched after the next one is dispatched
    with Journal(workdir, step, total, config.log_every, config.batch_size) as journal:
        for epoch in range(1 + int(np.searchsorted(ends, step, side="right")), config.epochs + 1):
            rates = experiment.schedule.rates(epoch)
            for batch in prefetch(images.batches(images.plan(epoch)), experiment.mesh):
                state, metrics = step_fn(state, batch, rates, bank)
                step += 1
                if running is not None:
                    journal.add(*_fetch(*running))
                running = step, epoch, rates.weights, metrics
            if epoch % config.checkpoint_every == 0 or epoch == config.epochs:
                journal.add(*_fetch(*running))
                running = None
                checkpoints.save(step, state)
    return state


def with_memory(experiment: Experiment, state: TrainState, images: TrainingImages) -> TrainState:
    """The state with its memory bank filled by a pass over the training set."""
    means = memory.ClassMeans(*state.memory.shape)
    for features, batch in experiment.extractor.batches(state.variables, images, "memory"):
        means.add(features["holistic"], batch["label"], batch["mask"])
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
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        state = checkpoints.restore(experiment.fresh_state())
    return report(experiment, state, test_sets, workdir / "eval.json")


def report(
    experiment: Experiment, state: TrainState, test_sets: Sequence[TestSet], path: Path
) -> dict[str, Any]:
    """Scores a state on all test sets, prints the table and writes it to `path`."""
    result = {
        "step": int(state.step),
        "datasets": {
            t.name: evaluate(
                experiment.extractor, state.variables, t.query, t.gallery, experiment.rerank
            )
            for t in test_sets
        },
    }
    write_report(path, result)
    print(f"scores at step {result['step']} (percent; also in {path})\n{table(result)}", flush=True)
    return result


def _fetch(step: int, epoch: int, lr: float, metrics: Metrics):
    """The arguments of Journal.add; stops where a term is not finite.

    Raises:
        ConfigError: names the step and the term.
    """
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise ConfigError(
                f"step {step}: {name} = {value}; the training diverged. Try a lower "
                "config.optim.lr, more config.optim.warmup_epochs, or config.model.dtype = "
                "'float32'"
            )
    return step, epoch, lr, values
