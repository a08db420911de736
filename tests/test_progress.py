"""Progress on terminals, pseudo-terminals without columns, and pipes: real processes."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from terminals import set_size, shown_on

from dpeformer_jax.base.progress import as_rate

ROOT = Path(__file__).parents[1]
PROGRAM = """
import logging
from dpeformer_jax.base import progress
from dpeformer_jax.base.command import log_to_stderr
log_to_stderr()
progress.SECONDS = {seconds}
for _ in progress.progress(range(3), title="{title}", unit="image"):
    pass
logging.getLogger("data").info("done")
"""


def program(title="decoding", seconds=30):
    return [sys.executable, "-c", PROGRAM.format(title=title, seconds=seconds)]


def told_on_terminal(columns, **settings):
    """Returns what the program writes to a terminal of so many columns."""
    ours, its = pty.openpty()
    set_size(its, 24 if columns else 0, columns)
    with subprocess.Popen(program(**settings), cwd=ROOT, stdin=its, stderr=its):
        os.close(its)
        return shown_on(ours).replace("\r\n", "\n")


def test_a_terminal_gets_a_bar():
    told = told_on_terminal(100)
    assert "decoding: 100%|" in told and "3/3" in told and told.endswith("done\n")


def test_a_terminal_without_columns_gets_plain_lines():
    assert told_on_terminal(0) == "done\n"
    first, *others = told_on_terminal(0, seconds=0).splitlines()
    assert first.startswith("decoding: 0 of 3 (image)")
    assert "" not in others and others[-1] == "done"


def test_a_pipe_gets_plain_lines():
    result = subprocess.run(program(), cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr == "done\n"
    quick = subprocess.run(program(seconds=0), cwd=ROOT, capture_output=True, text=True, check=True)
    assert "decoding: 3 of 3 (image), " in quick.stderr and "\n\n" not in quick.stderr


def test_no_title_no_bar():
    assert told_on_terminal(100, title="") == "done\n"


@pytest.mark.parametrize(("rate", "told"), [(127.6, "128"), (3.42, "3.4"), (0.254, "0.25")])
def test_rates_below_one_keep_their_decimals(rate, told):
    assert as_rate(rate) == told
