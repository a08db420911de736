"""SHA-256 of a checkpoint's arrays, which tells a damaged checkpoint from a whole one.

Checksums are of arrays and not of files. They are saved in one piece with the arrays, say which
array is damaged, and hold on any file system and for any number of processes.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

SEAL = "sha256"

Prints = dict[str, list[Any]]  # path of an array -> [shape, dtype, SHA-256 of its bytes]


class DamagedError(Exception):
    """A checkpoint is not what was saved; the message says which part."""


def fingerprints(tree: Any) -> Prints:
    """Returns shape, type and SHA-256 of every array of a tree in host memory, by path."""
    return {name: [*form, _sha256(array)] for name, form, array in _named(tree)}


def fingerprint(prints: Prints) -> str:
    """Returns one SHA-256 of all arrays of a tree, whatever their order."""
    return _sha256_of_json(prints)


def forms(prints: Prints) -> dict[str, str]:
    """Returns the arrays' shapes and types as words, by path."""
    return {name: f"{tuple(shape)} {dtype}" for name, (shape, dtype, _) in prints.items()}


def forms_of(tree: Any) -> dict[str, str]:
    """Returns the same as `forms`, of the arrays themselves."""
    return {name: f"{tuple(shape)} {dtype}" for name, (shape, dtype), _ in _named(tree)}


def verify(tree: Any, prints: Prints) -> None:
    """Raises ValueError for the first array that is not the one that was saved."""
    found = fingerprints(tree)
    for name in prints.keys() | found.keys():
        if prints.get(name) != found.get(name):
            raise ValueError(f"{name} is not what was saved")


def seal(contents: dict[str, Any]) -> dict[str, Any]:
    """Adds to the contents (JSON) a checksum of themselves."""
    return {**contents, SEAL: _sha256_of_json(contents)}


def read_contents(checkpoint: Path) -> dict[str, Any] | None:
    """Reads the sealed contents of a training's checkpoint; None where there are none.

    Raises:
        ValueError: a byte of them changed.
        OSError: they cannot be read.
    """
    path = checkpoint / "contents/metadata"
    if not path.exists():
        return None
    sealed = json.loads(path.read_text())
    contents = {name: value for name, value in sealed.items() if name != SEAL}
    if sealed.get(SEAL) != _sha256_of_json(contents):
        raise ValueError("its list of contents is not what was saved")
    return contents


def _named(tree: Any) -> Iterator[tuple[str, list[Any], Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        yield name, [list(leaf.shape), str(leaf.dtype)], leaf


def _sha256(array: np.ndarray) -> str:
    data = np.atleast_1d(np.ascontiguousarray(array)).view(np.uint8)  # no copy; takes bfloat16 too
    return hashlib.sha256(data).hexdigest()


def _sha256_of_json(contents: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
