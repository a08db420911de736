"""A workdir belongs to one config."""

import json
import os

import pytest

from configs import quickstart
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.training.workdir import FREE, check_workdir, write_config
from dpeformer_jax.validation import flatten


def started(workdir, config):
    """As a run leaves it after its first checkpoint."""
    write_config(workdir, config)
    (workdir / "checkpoints" / "10").mkdir(parents=True)


def test_the_config_is_kept_beside_the_run(tmp_path):
    config = quickstart.get_config()
    write_config(tmp_path / "new" / "run", config)
    stored = json.loads((tmp_path / "new" / "run" / "config.json").read_text())
    assert stored["optim"]["lr"] == config.optim.lr
    assert stored["data"]["image_size"] == list(config.data.image_size)


def test_the_same_config_goes_on_and_free_fields_may_change(tmp_path):
    config = quickstart.get_config()
    started(tmp_path, config)
    check_workdir(tmp_path, config)
    config.train.log_every = 1
    config.eval.rerank = True
    check_workdir(tmp_path, config)


def test_another_config_is_refused_with_the_difference(tmp_path):
    config = quickstart.get_config()
    started(tmp_path, config)
    config.optim.lr = 0.5
    with pytest.raises(ConfigError, match=r"config.optim.lr: 0.004 -> 0.5\. Choose another"):
        check_workdir(tmp_path, config)


def test_a_run_that_never_saved_may_start_with_another_config(tmp_path):
    config = quickstart.get_config()
    write_config(tmp_path, config)
    config.optim.lr = 0.5
    check_workdir(tmp_path, config)


def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_config(tmp_path / "file" / "run", quickstart.get_config())


@pytest.mark.parametrize("inside", ["run", "a/b/run", ""])
def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path, inside):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file is not a folder"):
        check_workdir(tmp_path / "file" / inside, quickstart.get_config())


def test_a_read_only_folder_is_refused_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(ConfigError, match="read-only"):
        check_workdir(tmp_path / "run", quickstart.get_config())


def test_free_fields_exist():
    assert set(FREE) <= flatten(quickstart.get_config().to_dict()).keys()
