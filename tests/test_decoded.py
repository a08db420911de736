"""The file of decoded images: whole or not there, made once, by real processes."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.decoded import mapped
from data.errors import DataError

ROOT = Path(__file__).parents[1]
SHAPE = (40, 4, 2, 3)
# Makes a file in 40 pieces, each after a pause, and says of every piece that it was made.
PROGRAM = """
import sys, time
from pathlib import Path
import numpy as np
from data.decoded import mapped

def pieces():
    for number in range(40):
        time.sleep(float(sys.argv[2]))
        print("made", flush=True)
        yield np.full((1, 4, 2, 3), number, np.uint8)

print(int(mapped(Path(sys.argv[1]), (40, 4, 2, 3), pieces()).sum()))
"""
TOTAL = sum(range(40)) * 4 * 2 * 3


def start(path, pause):
    command = [sys.executable, "-c", PROGRAM, str(path), str(pause)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_makes_the_file(tmp_path):
    processes = [start(tmp_path / "x.npy", 0.02) for _ in range(2)]
    told = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [lines[-1] for lines in told] == [str(TOTAL)] * 2
    assert sorted(lines.count("made") for lines in told) == [0, 40]


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
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(DataError, match="x.npy cannot be written .*config.data.data_dir"):
            mapped(tmp_path / "x.npy", SHAPE, iter(np.zeros((40, 1, *SHAPE[1:]), np.uint8)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.glob("x.[np]*"))
