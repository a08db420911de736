"""Compiled programs outlive the process, so that the next start does not wait for them."""

import os
from pathlib import Path

import jax


def keep_compiled() -> None:
    """Turns on JAX's persistent compilation cache, under the user's cache folder.

    JAX_COMPILATION_CACHE_DIR names another folder; an empty value turns it off.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return  # which JAX reads itself
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a container's user may have no home
        return
    jax.config.update("jax_compilation_cache_dir", str(caches / "dpeformer_jax" / "compiled"))
