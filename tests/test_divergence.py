"""A step that diverges stops the training, or is left out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.training.divergence import refuse_nonfinite, skip_nonfinite
from dpeformer_jax.training.experiment import TrainState


def state(step, value):
    full = jnp.full(3, value, jnp.float32)
    return TrainState(
        jnp.int32(step), {"w": full}, {"mean": full}, full, {"count": jnp.int32(step)}
    )


@jax.jit
def step(before, after, loss):
    return skip_nonfinite(before, after, {"loss": loss})


def test_a_finite_step_is_taken():
    kept, metrics = step(state(4, 1.0), state(5, 2.0), 0.5)
    assert jax.tree.all(jax.tree.map(np.array_equal, kept, state(5, 2.0)))
    assert metrics["skipped"] == 0 and metrics["loss"] == 0.5


@pytest.mark.parametrize(("value", "loss"), [(2.0, np.nan), (np.inf, 0.5), (2.0, -np.inf)])
def test_of_another_only_the_count_is_kept(value, loss):
    kept, metrics = step(state(4, 1.0), state(5, value), loss)
    expected = state(4, 1.0).replace(step=jnp.int32(5))
    assert jax.tree.all(jax.tree.map(np.array_equal, kept, expected))
    assert metrics["skipped"] == 1


def test_it_stops_with_step_terms_and_advice():
    with pytest.raises(UserError, match="step 3: id_parts = nan, loss = inf; .*optim.lr"):
        refuse_nonfinite(3, {"id_parts": np.nan, "accuracy": 0.5, "loss": np.inf})


def test_a_skipped_step_goes_on():
    refuse_nonfinite(3, {"loss": np.nan, "skipped": 1.0})
    with pytest.raises(UserError, match="loss = nan"):
        refuse_nonfinite(3, {"loss": np.nan, "skipped": 0.0})
