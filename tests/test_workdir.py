"""A workdir belongs to one config, one set of data and one training at a time.

tests/test_interruption.py shows that the lock holds between processes.
"""

import json
import os
import socket
from pathlib import Path

import pytest

from configs import quickstart, stored
from configs.fields import flatten
from configs.record import FREE, check_config, stored_fields, write_config
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.training.workdir import (
    HOLDER,
    check_data,
    held,
    record_data,
    refuse_held,
    refuse_unwritable,
)


def started(workdir, config):
    """As a run leaves it after its first checkpoint."""
    write_config(workdir, config)
    (workdir / "checkpoints" / "10").mkdir(parents=True)


def rewritten(workdir, change):
    """config.json as another version wrote it."""
    path = workdir / "config.json"
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def test_the_config_is_kept_beside_the_run(tmp_path):
    config = quickstart.get_config()
    write_config(tmp_path / "new" / "run", config)
    stored = json.loads((tmp_path / "new" / "run" / "config.json").read_text())
    assert stored["optim"]["lr"] == config.optim.lr
    assert stored["data"]["image_size"] == list(config.data.image_size)


def test_the_same_config_goes_on_and_free_fields_may_change(tmp_path):
    config = quickstart.get_config()
    started(tmp_path, config)
    check_config(tmp_path, config)
    config.train.log_every = 1
    config.eval.rerank = True
    config.data.root = "/moved"
    config.data.data_dir = "/elsewhere"
    config.views.occluders = "/moved/bank.npz"
    check_config(tmp_path, config)


def test_another_config_is_refused_with_the_difference(tmp_path):
    config = quickstart.get_config()
    started(tmp_path, config)
    config.optim.lr = 0.5
    with pytest.raises(UserError, match=r"config.optim.lr: 0.004 -> 0.5\. Give the old values"):
        check_config(tmp_path, config)


def test_a_field_that_is_newer_than_the_run_had_its_default_then(tmp_path):
    config = quickstart.get_config()
    started(tmp_path, config)
    rewritten(tmp_path, lambda stored: stored["loss"].pop("id_global"))
    check_config(tmp_path, config)
    config.loss.id_global = 3.0
    with pytest.raises(UserError, match="config.loss.id_global: 2.0 -> 3.0"):
        check_config(tmp_path, config)


def test_a_field_that_was_renamed_is_compared_under_its_new_name(tmp_path):
    config = quickstart.get_config()
    started(tmp_path, config)

    def before(stored):
        stored["views"]["second"] = stored["views"].pop("occlusion")
        stored["loss"]["occluded_memory"] = stored["loss"].pop("memory_occluded")

    rewritten(tmp_path, before)
    check_config(tmp_path, config)
    config.views.occlusion = "erasing"
    with pytest.raises(UserError, match="config.views.occlusion: roa -> erasing"):
        check_config(tmp_path, config)


def test_a_field_that_is_no_more_is_refused(tmp_path):
    config = quickstart.get_config()
    started(tmp_path, config)
    rewritten(tmp_path, lambda stored: stored["model"].update(gold=1))
    with pytest.raises(UserError, match="does not know: model.gold. A newer version wrote it"):
        check_config(tmp_path, config)


def test_a_finished_run_may_get_more_epochs_but_not_fewer(tmp_path, caplog):
    config = quickstart.get_config()
    started(tmp_path, config)
    config.train.epochs = 40
    check_config(tmp_path, config)
    assert caplog.messages == ["config.train.epochs: 32 -> 40, as a schedule of that length"]
    config.train.epochs = 30
    with pytest.raises(UserError, match="epochs: 32 -> 30. .*config.init.checkpoint="):
        check_config(tmp_path, config)


def test_joined_data_sets_may_move_but_not_change(tmp_path):
    config = quickstart.get_config()
    config.data.joined = ("msmt17=../MSMT17", "reid_folder=a;pattern=(.)_(.)")
    started(tmp_path, config)
    config.data.joined = ("msmt17=/moved/MSMT17", "reid_folder=b")
    check_config(tmp_path, config)
    config.data.joined = ("msmt17/v2=/moved/MSMT17", "reid_folder=b")
    with pytest.raises(UserError, match="config.data.joined: "):
        check_config(tmp_path, config)


def test_a_stored_config_knows_its_folders_from_anywhere(tmp_path, monkeypatch):
    config = quickstart.get_config()
    config.data.root, config.views.occluders = "pictures", "~/bank.npz"
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path, config)
    fields = stored_fields(tmp_path / "config.json")
    assert fields["data.root"] == str(tmp_path / "pictures") and fields["data.data_dir"] == ""
    assert fields["views.occluders"] == str(Path.home() / "bank.npz")
    assert config.data.root == "pictures"


def test_a_stored_config_is_a_config(tmp_path):
    config = quickstart.get_config()
    config.eval.datasets = ("market1501=../a", "occluded_reid")
    config.optim.weight_decay = 0.0
    write_config(tmp_path, config)
    assert stored.get_config(str(tmp_path / "config.json")) == config


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", '{"seed": 1', "\xff"])
def test_a_damaged_config_is_named(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content.encode("latin1"))
    with pytest.raises(UserError, match="config.json cannot be read as a config .*Bring it back"):
        stored_fields(path)


def test_a_run_that_never_saved_may_start_with_another_config(tmp_path):
    config = quickstart.get_config()
    write_config(tmp_path, config)
    config.optim.lr = 0.5
    check_config(tmp_path, config)


def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_config(tmp_path / "file" / "run", quickstart.get_config())


@pytest.mark.parametrize("inside", ["run", "a/b/run", ""])
def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path, inside):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is not a folder"):
        refuse_unwritable(tmp_path / "file" / inside)


def test_a_read_only_folder_is_refused_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(UserError, match="read-only"):
        refuse_unwritable(tmp_path / "run")


def test_free_fields_exist():
    assert set(FREE) < flatten(quickstart.get_config().to_dict()).keys()


def trained_on(bank="b0", **fingerprints):
    datasets = {name: {"fingerprint": value} for name, value in fingerprints.items()}
    return {"datasets": datasets, "occluders": f"96 cut-outs drawn, fingerprint {bank}"}


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (trained_on(market="f0", duke="f2"), "data set 2"),
        (trained_on(market="f0"), "data set 2"),
        (trained_on(duke="f1", market="f0"), "data set 1, data set 2"),
        (trained_on("b1", market="f0", duke="f1"), "occluders"),
    ],
)
def test_a_training_does_not_go_on_with_other_data(tmp_path, now, changed):
    record_data(tmp_path, trained_on(market="f0", duke="f1"), ())
    with pytest.raises(UserError, match=f"the data have changed .*: {changed}"):
        check_data(tmp_path, now)


def test_data_may_move_and_change_their_names(tmp_path):
    record_data(tmp_path, trained_on(market="f0", duke="f1"), ())
    moved = trained_on(mine="f0", others="f1")
    moved["occluders"] = "96 cut-outs from /moved/bank.npz, fingerprint b0"
    check_data(tmp_path, moved)


@pytest.mark.parametrize(
    ("content", "told"), [(None, "is missing, so nothing says"), ("{", "cannot be read")]
)
def test_a_training_whose_data_nothing_tells_does_not_go_on(tmp_path, content, told):
    if content is not None:
        (tmp_path / "trained_on.json").write_text(content)
    with pytest.raises(UserError, match=f"trained_on.json {told}"):
        check_data(tmp_path, trained_on(market="f0"))


def test_what_is_said_of_data_beside_their_fingerprint_may_change(tmp_path):
    """Another version may say it in other words."""
    record_data(tmp_path, trained_on(market="f0"), ())
    now = trained_on(market="f0")
    now["datasets"]["market"]["split"] = "said otherwise"
    check_data(tmp_path, now)


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
