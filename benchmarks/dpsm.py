"""Measures what patch selection (DPSM), blending (FBM), heads, losses and memory cost.

python -m benchmarks.dpsm --batch-size 64

The figure is the percentage by which a step of DPEFormer from finished views takes longer than a
step of its backbone alone, on the same views with the same optimiser.
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
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.model.vit import VisionTransformer
from dpeformer_jax.training.step import learn


def whole(training: Training, views: jax.Array, keys: jax.Array) -> Program:
    """Returns the step of DPEFormer from finished views [2, B, H, W, 3]; keys: [2, B]."""
    parts = training.experiment
    step = partial(learn, network=parts.network, tx=parts.tx, objective=parts.objective)
    return carrying(step, training.state, views, training.batch, keys, training.rates)


def plain(training: Training, views: jax.Array, keys: jax.Array) -> Program:
    """Returns a step of the backbone alone, whose loss is the mean square of the tokens."""
    network, tx = training.experiment.network, training.experiment.tx
    backbone = VisionTransformer(
        VARIANTS[network.spec.variant],
        network.spec.stride,
        network.drop_path,
        dtype=jnp.dtype(network.spec.dtype),
        remat=network.remat,
        attention=network.attention,
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
