"""The advice about malloc, in real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from dpeformer_jax.runtime import malloc

TELL = """
import logging
from dpeformer_jax.runtime.malloc import advise_malloc
logging.basicConfig(level="INFO", format="%(message)s")
advise_malloc({width})
"""


def told(width: int) -> str:
    line = [sys.executable, "-c", TELL.format(width=width)]
    return subprocess.run(line, capture_output=True, text=True, check=True).stderr


@pytest.mark.skipif(not malloc.LIBRARIES.exists(), reason="not on Linux")
def test_a_large_training_is_told_once_what_to_preload():
    assert told(768).count("LD_PRELOAD=libjemalloc.so.2") == 1
    assert "LD_PRELOAD" not in told(384)


def test_who_has_preloaded_it_is_not_told(tmp_path, monkeypatch, caplog):
    """jemalloc itself may not be here, so a list of libraries stands for it."""
    for names, words in (("libc.so.6 libjemalloc.so.2", 0), ("libc.so.6", 1), ("ld-musl.so", 0)):
        maps = tmp_path / "maps"
        maps.write_text(names)
        monkeypatch.setattr(malloc, "LIBRARIES", Path(maps))
        caplog.clear()
        with caplog.at_level("INFO", "dpeformer_jax"):
            malloc.advise_malloc(1024)
        assert len(caplog.records) == words
