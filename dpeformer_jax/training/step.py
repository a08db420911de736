"""The training step, a pure function, and how many devices run it: by sharded arrays or pmap."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.stages import Lowered, Wrapped

from dpeformer_jax.base.interfaces import OccluderBank
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.views import Gather
from dpeformer_jax.runtime.devices import AXIS, on_all_devices, replicated, split_by_example, within
from dpeformer_jax.training import memory
from dpeformer_jax.training.augment import one_view, two_views
from dpeformer_jax.training.divergence import Metrics, skip_nonfinite
from dpeformer_jax.training.experiment import ONE_VIEW, Experiment, TrainState, ViewSettings
from dpeformer_jax.training.objective import MEMORY_FEATURE, Objective
from dpeformer_jax.training.occlusion import occlusion_of
from dpeformer_jax.training.optim import LearningRates

Batch = dict[str, jax.Array]  # "label" and "camera_row" [B], and "image" or "index", see Resident
Step = Callable[..., tuple[TrainState, Metrics]]


class Resident(NamedTuple):
    """Arrays that lie on every device for the whole training.

    occluders: cut-outs, for the occluded view "roa"; images: [M, H, W, 3] uint8, the training set.
    With it a batch holds places in it ("index") instead of pixels ("image").
    """

    occluders: OccluderBank | None = None
    images: jax.Array | None = None


def compile_step(experiment: Experiment) -> Step:
    """Returns the step for all devices, in the experiment's way; the state is donated.

    Either way the step takes and gives global arrays: the state on every device, the batch split.
    """
    of_devices = _of_devices(experiment)
    return _mapped(of_devices, experiment.mesh) if experiment.parallel == "pmap" else of_devices


def lower_step(experiment: Experiment, state: TrainState, batch: Batch, *rest: Any) -> Lowered:
    """Lowers the step for shapes of its arguments: to compile it for devices that are not here."""
    mesh = experiment.mesh
    if experiment.parallel == "pmap":
        split = split_by_example(mesh)
        batch = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(
                (mesh.size, x.shape[0] // mesh.size, *x.shape[1:]), x.dtype, sharding=split
            ),
            batch,
        )
    return _of_devices(experiment).lower(state, batch, *rest)


def _of_devices(experiment: Experiment) -> Wrapped:
    """Returns the step over the mesh; under pmap it takes the devices' shares of a batch."""
    step = partial(train_step, key=jax.random.key(experiment.seed), experiment=experiment)
    mesh = experiment.mesh
    if experiment.parallel == "jit":
        return jax.jit(within(mesh, step), donate_argnums=0, out_shardings=replicated(mesh))
    return jax.pmap(
        partial(step, axis=AXIS),
        AXIS,
        in_axes=(None, 0, None, None),
        out_axes=None,
        donate_argnums=0,
        devices=list(mesh.devices.flat),  # in the order in which batches lie on them
    )


def _mapped(of_devices: Step, mesh: Mesh) -> Step:
    shares = jax.jit(
        lambda batch: jax.tree.map(lambda x: x.reshape(mesh.size, -1, *x.shape[1:]), batch),
        out_shardings=split_by_example(mesh),
    )

    def mapped(state: TrainState, batch: Batch, *rest: Any) -> tuple[TrainState, Metrics]:
        # What pmap gives lies on this process's devices; checkpoints want it on all.
        return on_all_devices(of_devices(state, shares(batch), *rest), mesh)

    return mapped


def train_step(
    state: TrainState,
    batch: Batch,
    rates: LearningRates,
    resident: Resident,
    *,
    key: jax.Array,
    experiment: Experiment,
    axis: str | None = None,
) -> tuple[TrainState, Metrics]:
    """Makes one update of what the experiment trains.

    Randomness is a function of the key, the step and an image's place in the global batch. Under
    jit the batch is the global one; under pmap it is a device's share and `axis` names the devices.
    """
    gather = gather_over(axis)
    places = jnp.arange(len(batch["label"]))
    if axis is not None:
        places += jax.lax.axis_index(axis) * len(places)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, state.step), places)
    view_keys, depth_keys = jnp.split(jax.vmap(partial(jax.random.split, num=3))(keys), [1], 1)
    views = make_views(view_keys[:, 0], batch, resident, experiment.views, gather)
    parts = experiment.network, experiment.tx, experiment.objective
    result = learn(state, views, batch, depth_keys.T[: len(views)], rates, *parts, axis)
    return skip_nonfinite(state, *result) if experiment.train.on_nonfinite == "skip" else result


def make_views(
    keys: jax.Array, batch: Batch, resident: Resident, settings: ViewSettings, gather: Gather
) -> jax.Array:
    """Makes the views of a batch, [V, B, H, W, 3] normalised, the clean one first; keys: [B]."""
    images = batch["image"] if resident.images is None else resident.images[batch["index"]]
    labels = batch["label"]
    if settings.occlusion == ONE_VIEW:
        fixed = settings.padding, settings.jitter, settings.erasing
        return jax.vmap(lambda key, image: one_view(key, image, *fixed))(keys, images)[None]
    occlude = occlusion_of(settings.occlusion, resident.occluders, gather(images), gather(labels))

    def both(key: jax.Array, image: jax.Array, label: jax.Array) -> jax.Array:
        hide = partial(occlude, label=label)
        return two_views(key, image, settings.padding, settings.jitter, hide)

    return jax.vmap(both, out_axes=1)(keys, images, labels)


def learn(
    state: TrainState,
    views: jax.Array,
    batch: Batch,
    depth_keys: jax.Array,
    rates: LearningRates,
    network: nn.Module,
    tx: optax.GradientTransformationExtraArgs,
    objective: Objective,
    axis: str | None = None,
) -> tuple[TrainState, Metrics]:
    """Makes one update from finished views [V, B, H, W, 3], normalised, the clean one first.

    Losses, norms and the memory see the global batch. Under pmap every device computes them alike
    from the tokens of all devices, and its share of the backbone's gradient comes from its own.
    depth_keys: [V, B] random keys of the stochastic depth; axis: see train_step.
    """
    gather = gather_over(axis)
    labels = gather(batch["label"])
    apply = partial(network.apply, method=network.train_views, mutable=["batch_stats"])
    inputs = views, batch["camera_row"], depth_keys, gather

    def loss_fn(params: Any):
        variables = {"params": params, "batch_stats": state.batch_stats}
        outputs, updated = apply(variables, *inputs)
        loss, terms = objective(outputs, labels, state.memory)
        return loss, (terms, outputs, updated["batch_stats"])

    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (terms, outputs, batch_stats)), grads = grad_fn(state.params)
    if axis is not None:
        # The transpose of gather has summed each device's copy of one loss: the mean undoes it.
        grads = jax.lax.pmean(grads, axis)
    updates, opt_state = tx.update(grads, state.opt_state, state.params, learning_rates=rates)
    bank = state.memory
    if bank is not None:
        bank = memory.update(bank, outputs[0].features[MEMORY_FEATURE], labels)
    params = optax.apply_updates(state.params, updates)
    state = TrainState(state.step + 1, params, batch_stats, bank, opt_state)
    metrics = {"loss": loss, **terms, **_diagnostics(outputs, labels)}
    return state, {**metrics, "grad_norm": optax.tree.norm(grads)}


def _diagnostics(views: Sequence[Outputs], labels: jax.Array) -> Metrics:
    """Returns the accuracy of the first feature's classifier on the clean view, and the mean K.

    Where no feature has a classifier of its name, the classifier "global" is taken.
    """
    logits = views[0].logits
    name = next(name for name in (*views[0].features, "global") if name in logits)
    found = {"accuracy": (logits[name].argmax(axis=1) == labels).mean()}
    if views[0].selection is not None:
        counts = [view.selection.kept.sum(axis=1) for view in views]
        found["selected"] = jnp.concatenate(counts).mean()
    return found


def gather_over(axis: str | None) -> Gather:
    """Returns the function that joins the devices' shares into the batch, in their order."""
    if axis is None:
        return lambda share: share
    return partial(jax.lax.all_gather, axis_name=axis, tiled=True)
