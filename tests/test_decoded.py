"""The file of decoded images: whole or not there, made once, by real processes."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.decoded import mapped
from dpeformer_jax.base.errors import UserError

ROOT = Path(__file__).parents[1]
SHAPE = (40, 4, 2, 3)
# Makes a file in 40 pieces, each after a pause, and says of every piece that it was made.
PROGRAM = """
import resource, sys, time
from pathlib import Path
import numpy as np
from data.decoded import mapped

limit = int(sys.argv[3])  # bytes of a file
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

def pieces():
    for number in range(40):
        time.sleep(float(sys.argv[2]))
        print("made", flush=True)
        yield np.full((1, 4, 2, 3), number, np.uint8)

print(int(mapped(Path(sys.argv[1]), (40, 4, 2, 3), pieces()).sum()))
"""
TOTAL = sum(range(40)) * 4 * 2 * 3


def start(path, pause, limit=resource.RLIM_INFINITY):
    command = [sys.executable, "-c", PROGRAM, str(path), str(pause), str(limit)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, **pipes)


@pytest.mark.slow
def test_of_two_processes_one_makes_the_file(tmp_path):
    first = start(tmp_path / "x.npy", 0.1)
    assert first.stdout.readline() == "made\n"
    second = start(tmp_path / "x.npy", 0)
    assert second.communicate(timeout=60)[0] == f"{TOTAL}\n"
    assert first.communicate(timeout=60)[0] == "made\n" * 39 + f"{TOTAL}\n"


def test_a_killed_process_leaves_no_file_and_the_next_one_makes_it(tmp_path):
    path = tmp_path / "x.npy"
    process = start(path, 0.1)
    assert process.stdout.readline() == "made\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    assert start(path, 0).communicate(timeout=60)[0].split()[-1] == str(TOTAL)
    assert {p.name for p in tmp_path.iterdir()} <= {"x.npy", "x.lock"}


def test_a_disk_without_room_is_told_and_leaves_nothing(tmp_path):
    process = start(tmp_path / "x.npy", 0, limit=500)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1 and "UserError" in told
    assert "x.npy cannot be written" in told and "config.data.data_dir" in told
    assert [p.name for p in tmp_path.iterdir()] == ["x.lock"]


def test_an_error_of_the_images_is_not_one_of_the_file(tmp_path):
    def pieces():
        yield np.zeros((1, *SHAPE[1:]), np.uint8)
        raise OSError("truncated picture")

    with pytest.raises(OSError, match="^truncated picture$"):
        mapped(tmp_path / "x.npy", SHAPE, pieces())
    assert [p.name for p in tmp_path.iterdir()] == ["x.lock"]


def test_a_damaged_file_is_named_with_the_mend(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(b"no array")
    with pytest.raises(UserError, match="x.npy cannot be read .*remove it"):
        mapped(path, SHAPE, ())
    np.save(path, np.zeros((3, *SHAPE[1:]), np.uint8))
    with pytest.raises(UserError, match=r"x.npy holds \(3, 4, 2, 3\), .*remove it"):
        mapped(path, SHAPE, ())
