"""Profiles of steps, as jax.profiler writes them."""

import jax
import jax.numpy as jnp
import pytest

from dpeformer_jax.training.trace import Trace


@pytest.mark.parametrize(
    ("steps", "done", "recorded"), [(0, 9, 0), (2, 9, 1), (50, 9, 1), (2, 2, 0)]
)
def test_steps_are_recorded_once_warm_also_of_a_short_training(tmp_path, steps, done, recorded):
    with Trace(tmp_path, steps) as trace:
        for step in range(done):
            trace.follow(jax.jit(lambda x: x + 1)(jnp.float32(step)))
    assert len(list(tmp_path.glob("**/*.xplane.pb"))) == recorded
