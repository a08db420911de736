"""What patch selection (DPSM), blending (FBM), heads, losses and memory cost over the plain ViT.

python -m benchmarks.dpsm --batch-size 64

Percent that the step takes longer, once the views are made, than a step of the backbone alone on
the same views with the same optimiser.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.measure import Program, alternate, report
from benchmarks.setting import Setting, measure_all
from benchmarks.training import Training, carrying
from dpeformer_jax.model.vit import VisionTransformer
from dpeformer_jax.training.step import learn


def whole(training: Training, views: jax.Array, keys: jax.Array) -> Program:
    """The step of DPEFormer from views that are made already."""
    experiment = training.experiment
    step = partial(learn, model=experiment.model, tx=experiment.tx, weights=experiment.loss_weights)
    return carrying(step, training.state, views, training.batch, keys, training.rates)


def plain(training: Training, views: jax.Array, keys: jax.Array) -> Program:
    """A step of the backbone alone; its loss is the mean square of the tokens."""
    model, tx = training.experiment.model, training.experiment.tx
    backbone = VisionTransformer(
        model.variant,
        model.stride,
        model.drop_path,
        dtype=model.dtype,
        remat=model.remat,
        attention=model.attention,
    )
    images, keys = views.reshape(-1, *views.shape[2:]), keys.reshape(-1)

    def loss_fn(params: Any, images: jax.Array, keys: jax.Array) -> jax.Array:
        tokens = backbone.apply({"params": params}, images, keys=keys)
        return jnp.square(tokens.astype(jnp.float32)).mean()

    def step(state: tuple, images: jax.Array, keys: jax.Array, rates: Any) -> tuple:
        params, opt_state = state
        loss, grads = jax.value_and_grad(loss_fn)(params, images, keys)
        updates, opt_state = tx.update(grads, opt_state, params, learning_rates=rates)
        return (optax.apply_updates(params, updates), opt_state), loss

    params = jax.tree.map(jnp.copy, training.state.params["backbone"])  # whole() donates its own
    return carrying(step, (params, tx.init(params)), images, keys, training.rates)


def measure(setting: Setting, repeats: int) -> None:
    """Prints the line of one setting."""
    training = Training(setting)
    views = training.views_maker()()
    keys = jax.random.split(jax.random.key(1), (2, setting.batch_size))
    bare = plain(training, views, keys)
    timing = alternate(bare, whole(training, views, keys), repeats)
    report(
        "dpsm",
        dataclasses.asdict(setting),
        100 * (timing.ratio - 1),
        "% over the plain ViT",
        plain_ms=1e3 * timing.first,
        whole_ms=1e3 * timing.second,
    )


if __name__ == "__main__":
    measure_all(__doc__, measure)
