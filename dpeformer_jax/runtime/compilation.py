"""Keeps compiled programs between processes, so that the next start does not wait for them."""

import os
from pathlib import Path

import jax


def keep_compiled() -> None:
    """Turns on JAX's persistent compilation cache, under the user's cache folder.

    JAX_COMPILATION_CACHE_DIR names another folder; an empty value turns the cache off.
    """
    # JAX keeps programs that took a second; a start has a handful that take less.
    shortest = "jax_persistent_cache_min_compile_time_secs", 0
    for name, value in (("jax_compilation_cache_dir", _folder()), shortest):
        if name.upper() not in os.environ:  # which JAX reads itself
            jax.config.update(name, value)


def _folder() -> str | None:
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a container's user may have no home
        return None
    return str(caches / "dpeformer_jax" / "compiled")
