"""The training step, a pure function: two views of a batch in, the next state out."""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from dpeformer_jax.base.interfaces import OccluderBank
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.two_views import Gather
from dpeformer_jax.training import memory
from dpeformer_jax.training.augment import two_views
from dpeformer_jax.training.divergence import Metrics, skip_nonfinite
from dpeformer_jax.training.objective import MEMORY_FEATURE, Objective
from dpeformer_jax.training.occlusion import occlusion_of
from dpeformer_jax.training.optim import LearningRates
from dpeformer_jax.training.state import TrainState


class Resident(NamedTuple):
    """Arrays that lie on every device for the whole training.

    occluders: cut-outs, for the occluded view "roa"; images: [M, H, W, 3] uint8, the training set.
    With it a batch holds places in it ("index") instead of pixels ("image").
    """

    occluders: OccluderBank | None = None
    images: jax.Array | None = None

    def images_of(self, batch: dict[str, jax.Array]) -> jax.Array:
        """Returns the pictures of a batch: [B, H, W, 3] uint8."""
        return batch["image"] if self.images is None else self.images[batch["index"]]


def train_step(
    state: TrainState,
    batch: dict[str, jax.Array],
    rates: LearningRates,
    resident: Resident,
    *,
    key: jax.Array,
    network: nn.Module,
    tx: optax.GradientTransformationExtraArgs,
    objective: Objective,
    padding: int,
    occlusion: str,
    on_nonfinite: str = "stop",
    axis: str | None = None,
) -> tuple[TrainState, Metrics]:
    """Makes one update. padding, occlusion, on_nonfinite: as in the config.

    Randomness is a function of the key, the step and an image's place in the global batch. Under
    jit the batch is the global one; under pmap it is a device's share and `axis` names the devices.
    """
    gather = gather_over(axis)
    places = jnp.arange(len(batch["label"]))
    if axis is not None:
        places += jax.lax.axis_index(axis) * len(places)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, state.step), places)
    view_keys, depth_keys = jnp.split(jax.vmap(partial(jax.random.split, num=3))(keys), [1], 1)
    views = make_views(view_keys[:, 0], batch, resident, padding, occlusion, gather)
    result = learn(state, views, batch, depth_keys.T, rates, network, tx, objective, axis)
    return skip_nonfinite(state, *result) if on_nonfinite == "skip" else result


def make_views(
    keys: jax.Array,
    batch: dict[str, jax.Array],
    resident: Resident,
    padding: int,
    occlusion: str,
    gather: Gather,
) -> jax.Array:
    """Makes the clean and the occluded view of a batch, [2, B, H, W, 3] normalised; keys: [B]."""
    images, labels = resident.images_of(batch), batch["label"]
    occlude = occlusion_of(occlusion, resident.occluders, gather(images), gather(labels))

    def both(key: jax.Array, image: jax.Array, label: jax.Array) -> jax.Array:
        return two_views(key, image, padding, partial(occlude, label=label))

    return jax.vmap(both, out_axes=1)(keys, images, labels)


def learn(
    state: TrainState,
    views: jax.Array,
    batch: dict[str, jax.Array],
    depth_keys: jax.Array,
    rates: LearningRates,
    network: nn.Module,
    tx: optax.GradientTransformationExtraArgs,
    objective: Objective,
    axis: str | None = None,
) -> tuple[TrainState, Metrics]:
    """Makes one update from finished views.

    Losses, norms and the memory see the global batch. Under pmap every device computes them alike
    from the tokens of all devices, and its share of the backbone's gradient comes from its own.

    Args:
        state: before the step.
        views: [2, B, H, W, 3] normalised, clean then occluded.
        batch: {"label": [B], "camera_row": [B] row of the side information embedding}.
        depth_keys: [2, B] random keys of the stochastic depth.
        rates: learning rates of the epoch.
        network, tx, objective: what is trained, its optimiser, its loss.
        axis: see train_step.
    """
    gather = gather_over(axis)
    labels = gather(batch["label"])

    def loss_fn(params: Any):
        (clean, occluded), updated = network.apply(
            {"params": params, "batch_stats": state.batch_stats},
            views,
            batch["camera_row"],
            depth_keys,
            gather,
            method=network.train_views,
            mutable=["batch_stats"],
        )
        loss, terms = objective(clean, occluded, labels, state.memory)
        return loss, (terms, clean, occluded, updated["batch_stats"])

    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (terms, clean, occluded, batch_stats)), grads = grad_fn(state.params)
    if axis is not None:
        # The transpose of gather has summed each device's copy of one loss: the mean undoes it.
        grads = jax.lax.pmean(grads, axis)
    updates, opt_state = tx.update(grads, state.opt_state, state.params, learning_rates=rates)
    state = TrainState(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        memory=_updated_memory(state.memory, clean, labels),
        opt_state=opt_state,
    )
    metrics = {"loss": loss, **terms, **_diagnostics(clean, occluded, labels)}
    return state, {**metrics, "grad_norm": optax.tree.norm(grads)}


def _updated_memory(bank: jax.Array | None, clean: Outputs, labels: jax.Array) -> jax.Array | None:
    if bank is None:
        return None
    return memory.update(bank, clean.features[MEMORY_FEATURE], labels)


def _diagnostics(clean: Outputs, occluded: Outputs, labels: jax.Array) -> Metrics:
    """Returns the accuracy of the first feature on the clean view, and the mean number of patches.

    A feature without a classifier of its own is passed over.
    """
    name = next(n for n in (*clean.features, *clean.logits) if n in clean.logits)
    found = {"accuracy": (clean.logits[name].argmax(axis=1) == labels).mean()}
    if clean.selection is not None:
        counts = [view.selection.kept.sum(axis=1) for view in (clean, occluded)]
        found["selected"] = jnp.concatenate(counts).mean()
    return found


def gather_over(axis: str | None) -> Gather:
    """Returns the function that joins the devices' shares into the batch, in their order."""
    if axis is None:
        return lambda share: share
    return partial(jax.lax.all_gather, axis_name=axis, tiled=True)
