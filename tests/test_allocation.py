"""Freed memory stays with the process."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys, threading
import numpy as np
from dpeformer_jax.allocation import keep_freed_memory

if "keep" in sys.argv:
    keep_freed_memory()
faults = []

def use():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(128 << 20, np.uint8)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

for _ in range(3):  # in threads, as XLA's
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
print(faults[-1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is of glibc")
def test_a_large_block_is_faulted_in_once():
    without, kept = (int(run(*arguments)) for arguments in ((), ("keep",)))
    assert kept < 0.2 * without


def run(*arguments):
    command = [sys.executable, "-c", PROGRAM, *arguments]
    root = Path(__file__).parents[1]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
