"""The training step: two views of a batch in, the next state out. Pure."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.training import memory
from dpeformer_jax.training.augment import two_views
from dpeformer_jax.training.losses import LossWeights, total_loss
from dpeformer_jax.training.nonfinite import Metrics, skip_nonfinite
from dpeformer_jax.training.occlusion import OccluderBank, occlusion_of
from dpeformer_jax.training.optim import LearningRates
from dpeformer_jax.training.state import TrainState

Gather = Callable[[jax.Array], jax.Array]  # a device's share of a batch -> the batch


class Resident(NamedTuple):
    """What lies on every device for the whole training.

    occluders: cut-outs, for the second view "roa"; images: [M, H, W, 3] uint8, the training set, of
    which a batch then holds places ("index") instead of pixels ("image").
    """

    occluders: OccluderBank | None = None
    images: jax.Array | None = None

    def images_of(self, batch: dict[str, jax.Array]) -> jax.Array:
        """[B, H, W, 3] uint8."""
        return batch["image"] if self.images is None else self.images[batch["index"]]


def train_step(
    state: TrainState,
    batch: dict[str, jax.Array],
    rates: LearningRates,
    resident: Resident,
    *,
    key: jax.Array,
    model: DPEFormer,
    tx: optax.GradientTransformationExtraArgs,
    weights: LossWeights,
    padding: int,
    second: str,
    on_nonfinite: str = "stop",
    axis: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One update. second, on_nonfinite: as in the config.

    Randomness is a function of the key, the step and an image's place in the global batch. Under
    jit the batch is the global one; under pmap it is a device's share and `axis` names the devices.
    """
    gather = gather_over(axis)
    places = jnp.arange(len(batch["label"]))
    if axis is not None:
        places += jax.lax.axis_index(axis) * len(places)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, state.step), places)
    view_keys, depth_keys = jnp.split(jax.vmap(partial(jax.random.split, num=3))(keys), [1], 1)
    views = make_views(view_keys[:, 0], batch, resident, padding, second, gather)
    result = learn(
        state, views, batch, depth_keys.T, rates, model=model, tx=tx, weights=weights, axis=axis
    )
    return skip_nonfinite(state, *result) if on_nonfinite == "skip" else result


def make_views(
    keys: jax.Array,
    batch: dict[str, jax.Array],
    resident: Resident,
    padding: int,
    second: str,
    gather: Gather,
) -> jax.Array:
    """The clean and the occluded view of a batch, [2, B, H, W, 3] normalised; keys: [B]."""
    images, labels = resident.images_of(batch), batch["label"]
    occlude = occlusion_of(second, resident.occluders, gather(images), gather(labels))

    def both(key: jax.Array, image: jax.Array, label: jax.Array) -> jax.Array:
        return two_views(key, image, padding, partial(occlude, label=label))

    return jax.vmap(both, out_axes=1)(keys, images, labels)


def learn(
    state: TrainState,
    views: jax.Array,
    batch: dict[str, jax.Array],
    depth_keys: jax.Array,
    rates: LearningRates,
    *,
    model: DPEFormer,
    tx: optax.GradientTransformationExtraArgs,
    weights: LossWeights,
    axis: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One update from views that are made already.

    Losses, norms and the memory see the global batch. Under pmap every device computes them alike
    from the tokens of all, which its backbone's share of the gradient then comes from.

    Args:
        state: before the step.
        views: [2, B, H, W, 3] normalised, clean then occluded.
        batch: {"label": [B], "camera": [B] row of the SIE}.
        depth_keys: [2, B] random keys of the stochastic depth.
        rates: learning rates of the epoch.
        model, tx, weights: the network, its optimiser, the factors of the loss.
        axis: see train_step.
    """
    gather = gather_over(axis)
    labels = gather(batch["label"])

    def loss_fn(params: Any):
        (clean, occluded), updated = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            views,
            batch["camera"],
            depth_keys,
            gather,
            method=model.train_views,
            mutable=["batch_stats"],
        )
        loss, terms = total_loss(clean, occluded, labels, state.memory, weights)
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
        memory=memory.update(state.memory, clean.holistic, labels),
        opt_state=opt_state,
    )
    selected = jnp.concatenate([clean.selected, occluded.selected]).sum(axis=1).mean()
    accuracy = (clean.logits.holistic.argmax(axis=1) == labels).mean()
    metrics = {"loss": loss, **terms, "accuracy": accuracy, "selected": selected}
    return state, {**metrics, "grad_norm": optax.tree.norm(grads)}


def gather_over(axis: str | None) -> Gather:
    """What makes a global batch of a device's share, in the order of the devices."""
    if axis is None:
        return lambda share: share
    return partial(jax.lax.all_gather, axis_name=axis, tiled=True)
