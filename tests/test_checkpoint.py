"""Checkpoints: what is saved comes back, what is half-written is never taken."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import toy_spec

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.checksums import seal
from dpeformer_jax.checkpoint.store import KEPT, Checkpoints

SPEC = toy_spec()


def state(value, width=3):
    weights = jnp.full((width,), value, jnp.float32)
    return {"training": {"step": jnp.int32(value)}, "variables": {"weights": weights}}


def save(directory, *steps):
    with Checkpoints(directory, SPEC) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step))


def test_the_newest_comes_back_bitwise(tmp_path):
    save(tmp_path, 1, 2)
    restored = Checkpoints(tmp_path, SPEC).restore(state(0))
    assert jax.tree.all(jax.tree.map(np.array_equal, restored, state(2)))


def test_only_the_last_ones_stay(tmp_path):
    save(tmp_path, *range(1, KEPT + 3))
    steps = sorted(int(path.name) for path in tmp_path.iterdir())
    assert steps == list(range(3, KEPT + 3))


def test_a_half_written_one_is_never_taken(tmp_path):
    save(tmp_path, 1)
    shutil.copytree(tmp_path / "1", tmp_path / "2.orbax-checkpoint-tmp")
    assert Checkpoints(tmp_path, SPEC).newest == 1


def test_a_step_that_is_saved_already_stays_as_it_is(tmp_path):
    save(tmp_path, 1)
    with Checkpoints(tmp_path, SPEC) as checkpoints:
        checkpoints.save(1, state(9))
    assert float(Checkpoints(tmp_path, SPEC).restore(state(0))["variables"]["weights"][0]) == 1


def test_what_is_being_written_is_completed_where_the_training_fails(tmp_path):
    with pytest.raises(UserError, match="diverged"), Checkpoints(tmp_path, SPEC) as checkpoints:
        checkpoints.save(1, state(1))
        raise UserError("diverged")
    assert Checkpoints(tmp_path, SPEC).newest == 1


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint"):
        Checkpoints(tmp_path, SPEC).restore(state(0))


def test_a_checkpoint_of_another_network_is_an_error(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(UserError, match="step 1 does not fit"):
        Checkpoints(tmp_path, SPEC).restore(state(0, width=4))


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [flipped, *(pytest.param(d, marks=pytest.mark.slow) for d in (truncated, Path.unlink))],
)
def test_a_damaged_one_gives_way_or_is_as_good_as_new(tmp_path, damage, caplog):
    """Whichever of its files is damaged: never another state than one that was saved."""
    save(tmp_path / "good", 1, 2)
    names = [p.relative_to(tmp_path / "good/2") for p in (tmp_path / "good/2").rglob("*")]
    names = [n for n in names if (tmp_path / "good/2" / n).is_file()]
    passed_over = []
    for number, name in enumerate(names):
        copy = tmp_path / str(number)
        shutil.copytree(tmp_path / "good", copy)
        damage(copy / "2" / name)
        with Checkpoints(copy, SPEC) as checkpoints:
            restored = checkpoints.restore(state(0))
            aside = (copy / "damaged-2").is_dir()
            expected = state(1 if aside else 2)
            assert jax.tree.all(jax.tree.map(np.array_equal, restored, expected)), name
            assert checkpoints.newest == (1 if aside else 2)
        assert ("2 is damaged" in caplog.text) == aside
        caplog.clear()
        passed_over += [str(name)] if aside else []
    assert "contents/metadata" in passed_over
    assert {"variables", "training"} <= {name.split("/")[0] for name in passed_over}


def test_a_spec_of_a_newer_version_is_refused_and_stays(tmp_path):
    save(tmp_path, 1)
    path = tmp_path / "1/contents/metadata"
    contents = json.loads(path.read_text())
    newer = {name: value for name, value in contents.items() if name != "sha256"}
    newer["model"] = newer["model"] | {"version": 9, "heads_of_gold": 3}
    path.write_text(json.dumps(seal(newer)))
    with Checkpoints(tmp_path, SPEC) as checkpoints:
        with pytest.raises(UserError, match="version 9.* heads_of_gold.* update dpeformer_jax"):
            checkpoints.restore(state(0))
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_where_all_are_damaged_that_is_said(tmp_path):
    save(tmp_path, 1)
    flipped(tmp_path / "1/contents/metadata")
    with Checkpoints(tmp_path, SPEC) as checkpoints:
        with pytest.raises(UserError, match="only damaged checkpoints"):
            checkpoints.restore(state(0))


def test_notes_come_back(tmp_path):
    with Checkpoints(tmp_path, SPEC) as checkpoints:
        checkpoints.save(1, state(1), {"sums": [0.1]})
    with Checkpoints(tmp_path, SPEC) as checkpoints:
        checkpoints.restore(state(0))
        assert checkpoints.notes == {"sums": [0.1]}


def test_a_state_that_is_not_finite_is_never_saved(tmp_path):
    with Checkpoints(tmp_path, SPEC) as checkpoints:
        with pytest.raises(UserError, match="step 1: variables/weights is not finite"):
            checkpoints.save(1, {**state(1), "variables": {"weights": jnp.array([1.0, jnp.nan])}})
    assert Checkpoints(tmp_path, SPEC).newest is None


def test_half_written_ones_of_a_killed_process_are_removed(tmp_path):
    save(tmp_path, 1)
    shutil.copytree(tmp_path / "1", tmp_path / "2.orbax-checkpoint-tmp")
    save(tmp_path, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]


def test_no_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    save(tmp_path, 1)
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="0.0 MB are free.*step 1 is whole. Make room"):
        save(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
