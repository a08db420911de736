"""Finds steps that diverge: their loss, gradient or outcome is not finite."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.training.experiment import TrainState

Metrics = dict[str, jax.Array]


def skip_nonfinite(
    before: TrainState, after: TrainState, metrics: Metrics
) -> tuple[TrainState, Metrics]:
    """Returns the state after a step, or the one before where the step diverged.

    The step's count goes on either way. The metric `skipped` says, by 0 or 1, which state it is.
    """
    values = jax.tree.leaves((after, metrics))
    finite = jnp.stack([jnp.isfinite(value).all() for value in values]).all()
    kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, before)
    skipped = 1.0 - finite.astype(jnp.float32)
    return kept.replace(step=after.step), {**metrics, "skipped": skipped}


def refuse_nonfinite(step: int, metrics: Mapping[str, float]) -> None:
    """Raises UserError, with step and terms, for a metric of a step that was not skipped."""
    bad = [f"{name} = {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if bad and not metrics.get("skipped"):
        raise UserError(
            f"step {step}: {', '.join(bad)}; the training diverged, and its last good checkpoint "
            "is kept. Try a lower config.optim.lr, more config.optim.warmup_epochs, or "
            "config.model.dtype = 'float32', in another --workdir (config.init.checkpoint may name "
            "this one); or go on with config.train.on_nonfinite = 'skip'"
        )
