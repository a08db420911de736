"""One training a workdir; that it holds between processes tests/test_interruption.py shows."""

import json
import os
import socket
from pathlib import Path

import pytest

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.training.lock import HOLDER, held, refuse_held


def test_a_held_folder_is_refused_with_its_holder(tmp_path):
    told = f"in use by process {os.getpid()} on host {socket.gethostname()}"
    with held(tmp_path):
        with pytest.raises(UserError, match=told):
            refuse_held(tmp_path)
        with pytest.raises(UserError, match=told), held(tmp_path):
            pass
        assert (tmp_path / HOLDER).exists()
    refuse_held(tmp_path)
    assert not (tmp_path / HOLDER).exists()


def test_what_a_killed_holder_leaves_is_taken_over_and_said(tmp_path, caplog):
    (tmp_path / "lock").touch()
    (tmp_path / HOLDER).write_text(json.dumps({"host": "node7", "pid": 12}))
    with held(tmp_path):
        assert "from process 12 on host node7, which ended" in caplog.text


def test_asking_leaves_no_trace(tmp_path):
    refuse_held(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_system_that_takes_no_folders_is_an_error():
    with pytest.raises(UserError, match="cannot be written"), held(Path("/proc/sys/run")):
        pass
