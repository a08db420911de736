"""A file or folder is there whole or not at all, also where the process is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dpeformer_jax.base.atomic_write import atomic_write, write_text

ROOT = Path(__file__).parents[1]
# Writes half of a file or of a folder, says so, and waits to be killed.
PROGRAM = """
import sys, time
from pathlib import Path
from dpeformer_jax.base.atomic_write import atomic_write

with atomic_write(Path(sys.argv[1])) as partial:
    if sys.argv[2] == "folder":
        partial.mkdir()
        partial /= "inside"
    with partial.open("w") as file:
        file.write("half")
        file.flush()
        print("half", flush=True)
        time.sleep(600)
"""


def write_file(path, content="new"):
    path.write_text(content)


def write_folder(path, content="new"):
    path.mkdir()
    (path / content).write_text(content)


def content_of(path):
    """The text of a file, or the names and texts of the files of a folder."""
    if path.is_dir():
        return {file.name: file.read_text() for file in path.iterdir()}
    return path.read_text()


KINDS = pytest.mark.parametrize(
    ("write", "old", "new"),
    [(write_file, "old", "new"), (write_folder, {"old": "old"}, {"new": "new"})],
    ids=["file", "folder"],
)


@KINDS
def test_what_is_written_takes_the_name_at_the_end(tmp_path, write, old, new):
    target = tmp_path / "target"
    with atomic_write(target) as partial:
        write(partial)
        assert partial.parent == target.parent and not target.exists()
    assert content_of(target) == new
    assert os.listdir(tmp_path) == ["target"]


@KINDS
def test_a_new_one_replaces_the_old_one(tmp_path, write, old, new):
    target = tmp_path / "target"
    write(target, "old")
    with atomic_write(target) as partial:
        write(partial)
        assert content_of(target) == old
    assert content_of(target) == new
    assert os.listdir(tmp_path) == ["target"]


@KINDS
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_nothing(tmp_path, write, old, new, error):
    with pytest.raises(error), atomic_write(tmp_path / "target") as partial:
        write(partial)
        raise error
    assert not os.listdir(tmp_path)


@KINDS
def test_a_block_that_raises_leaves_the_old_one(tmp_path, write, old, new):
    target = tmp_path / "target"
    write(target, "old")
    with pytest.raises(ValueError), atomic_write(target) as partial:
        write(partial)
        raise ValueError
    assert content_of(target) == old
    assert os.listdir(tmp_path) == ["target"]


@pytest.mark.parametrize("there", [False, True])
@KINDS
def test_a_killed_process_leaves_the_old_one_or_none(tmp_path, write, old, new, there):
    target = tmp_path / "target"
    if there:
        write(target, "old")
    kind = "folder" if write is write_folder else "file"
    command = [sys.executable, "-c", PROGRAM, str(target), kind]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert target.exists() == there
    assert not there or content_of(target) == old
    (leftover,) = set(os.listdir(tmp_path)) - {"target"}
    assert leftover.startswith(".target.") and leftover.endswith(".partial")
    with atomic_write(target) as partial:
        write(partial)
    assert content_of(target) == new


def test_of_two_writers_at_a_time_the_last_one_stays(tmp_path):
    target = tmp_path / "target"
    with atomic_write(target) as last:
        with atomic_write(target) as first:
            write_file(first, "first")
            write_file(last, "last")
        assert content_of(target) == "first"
    assert content_of(target) == "last"
    assert os.listdir(tmp_path) == ["target"]


def test_a_file_reaches_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    synced = []

    def fsync(descriptor):
        synced.append((os.fstat(descriptor).st_size, os.listdir(tmp_path)))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "target", "four")
    ((size, names),) = synced
    assert size == 4 and "target" not in names
    assert (tmp_path / "target").read_text() == "four"
