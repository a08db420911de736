"""How a command ends, and where its words go: real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import errno, logging, os, signal
from dpeformer_jax.base.command import log_to_stderr, one_paragraph
from dpeformer_jax.base.errors import UserError
log_to_stderr()
logging.getLogger("dpeformer_jax.any").info("at work on %d", 3)
logging.getLogger("data.any").warning("odd")
print("result")
with one_paragraph("program"):
    {}
"""


def run(body):
    command = [sys.executable, "-c", PROGRAM.format(body)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_results_and_words_go_apart():
    result = run("pass")
    assert result.returncode == 0 and result.stdout == "result\n"
    assert result.stderr == "at work on 3\nwarning: odd\n"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise UserError('x = 3 is wrong; take 4')", "program: x = 3 is wrong; take 4"),
        ("raise OSError(errno.ENOSPC, 'No space')", "program: [Errno 28] No space; make room"),
    ],
)
def test_a_users_mistake_ends_with_one_paragraph_and_code_2(body, told):
    result = run(body)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(told)


def test_a_mistake_of_the_program_keeps_its_traceback():
    result = run("1 / 0")
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr


def test_an_interrupted_command_ends_with_130():
    result = run("os.kill(os.getpid(), signal.SIGINT)")
    assert result.returncode == 130 and "Traceback" not in result.stderr
