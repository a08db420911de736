"""Checkpoints: what is saved comes back, what is half-written is never taken."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpeformer_jax.checkpoint import KEPT, Checkpoints
from dpeformer_jax.errors import ConfigError

MODEL = {"variant": "mu"}


def state(value, width=3):
    weights = jnp.full((width,), value, jnp.float32)
    return {"training": {"step": jnp.int32(value)}, "variables": {"weights": weights}}


def save(directory, *steps):
    with Checkpoints(directory, MODEL) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step))


def test_the_newest_comes_back_bitwise(tmp_path):
    save(tmp_path, 1, 2)
    restored = Checkpoints(tmp_path, MODEL).restore(state(0))
    assert jax.tree.all(jax.tree.map(np.array_equal, restored, state(2)))


def test_only_the_last_ones_stay(tmp_path):
    save(tmp_path, *range(1, KEPT + 3))
    steps = sorted(int(path.name) for path in tmp_path.iterdir())
    assert steps == list(range(3, KEPT + 3))


def test_a_half_written_one_is_never_taken(tmp_path):
    save(tmp_path, 1)
    shutil.copytree(tmp_path / "1", tmp_path / "2.orbax-checkpoint-tmp")
    assert Checkpoints(tmp_path, MODEL).newest == 1


def test_a_step_that_is_saved_already_stays_as_it_is(tmp_path):
    save(tmp_path, 1)
    with Checkpoints(tmp_path, MODEL) as checkpoints:
        checkpoints.save(1, state(9))
    assert float(Checkpoints(tmp_path, MODEL).restore(state(0))["variables"]["weights"][0]) == 1


def test_what_is_being_written_is_completed_where_the_training_fails(tmp_path):
    with pytest.raises(ConfigError, match="diverged"), Checkpoints(tmp_path, MODEL) as checkpoints:
        checkpoints.save(1, state(1))
        raise ConfigError("diverged")
    assert Checkpoints(tmp_path, MODEL).newest == 1


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        Checkpoints(tmp_path, MODEL).restore(state(0))


def test_a_checkpoint_of_another_network_is_an_error(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(ConfigError, match="step 1 does not fit"):
        Checkpoints(tmp_path, MODEL).restore(state(0, width=4))
