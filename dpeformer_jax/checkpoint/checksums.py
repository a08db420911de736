"""SHA-256 of a checkpoint's arrays, which tells a damaged checkpoint from a whole one.

Checksums are of arrays and not of files. They are saved in one piece with the arrays, say which
array is damaged, and hold on any file system and for any number of processes.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

SEAL = "sha256"

Prints = dict[str, list[Any]]  # path of an array -> [shape, dtype, SHA-256 of its bytes]


class DamagedError(Exception):
    """A checkpoint is not what was saved; the message says which part."""


def by_path(tree: Any) -> dict[str, Any]:
    """Returns the arrays of a tree by their path, for example "params/backbone/cls_token"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): leaf for p, leaf in leaves}


def fingerprints(tree: Any) -> Prints:
    """Returns shape, type and SHA-256 of every array of a tree in host memory, by path."""
    return {
        name: [list(array.shape), str(array.dtype), _sha256(array)]
        for name, array in by_path(tree).items()
    }


def fingerprint(contents: dict[str, Any]) -> str:
    """Returns one SHA-256 of JSON values, as of all fingerprints of a tree, in any order."""
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def fingerprint_of(tree: Any) -> str:
    """Returns the one SHA-256 that tells the arrays of a tree, on the host or not, from others."""
    return fingerprint(fingerprints(jax.device_get(tree)))


def verify(tree: Any, prints: Prints) -> None:
    """Raises ValueError for the first array that is not the one that was saved."""
    found = fingerprints(tree)
    for name in prints.keys() | found.keys():
        if prints.get(name) != found.get(name):
            raise ValueError(f"{name} is not what was saved")


def seal(contents: dict[str, Any]) -> dict[str, Any]:
    """Adds to the contents (JSON) a checksum of themselves."""
    return {**contents, SEAL: fingerprint(contents)}


def read_contents(checkpoint: Path) -> dict[str, Any] | None:
    """Reads the sealed contents of a training's checkpoint; None where there are none.

    Raises ValueError where a byte of them changed, and OSError where they cannot be read.
    """
    path = checkpoint / "contents/metadata"
    if not path.exists():
        return None
    sealed = json.loads(path.read_text())
    contents = {name: value for name, value in sealed.items() if name != SEAL}
    if sealed != seal(contents):
        raise ValueError("its list of contents is not what was saved")
    return contents


def _sha256(array: np.ndarray) -> str:
    data = np.atleast_1d(np.ascontiguousarray(array)).view(np.uint8)  # no copy; takes bfloat16 too
    return hashlib.sha256(data).hexdigest()
