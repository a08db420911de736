"""Compiled programs are kept for the next process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHORTEST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
PROGRAM = """
import jax
from dpeformer_jax.runtime.compilation import keep_compiled
keep_compiled()
print(jax.jit(lambda x: x * 2 + 1)(3))
"""


def run(home, **changes):
    env = {**os.environ, "HOME": str(home), "JAX_PLATFORMS": "cpu", "PYTHONPATH": "."}
    for name in ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR", SHORTEST):
        env.pop(name, None)
    env |= changes
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, env=env, check=True)


def test_also_small_programs_are_kept_under_the_users_cache_folder(tmp_path):
    run(tmp_path)
    assert list((tmp_path / ".cache/dpeformer_jax/compiled").glob("*-cache"))


@pytest.mark.slow
def test_the_environment_names_other_folders(tmp_path):
    run(tmp_path / "home", XDG_CACHE_HOME=str(tmp_path / "xdg"))
    assert any((tmp_path / "xdg/dpeformer_jax/compiled").iterdir())
    run(tmp_path / "home", JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine"))
    assert any((tmp_path / "mine").iterdir()) and not (tmp_path / "home").exists()


@pytest.mark.slow
def test_the_environment_says_what_is_too_small(tmp_path):
    run(tmp_path, **{SHORTEST: "60"})
    assert not list((tmp_path / ".cache").rglob("*-cache"))
