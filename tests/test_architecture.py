"""Imports point one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Which modules of ours a room may import; a room may always import its own parts.
ALLOWED = {
    "dpeformer_jax/model": (),
    "dpeformer_jax/retrieval": (
        "dpeformer_jax.model",
        "dpeformer_jax.devices",
        "dpeformer_jax.errors",
        "dpeformer_jax.files",
    ),
    "dpeformer_jax/training": (
        "dpeformer_jax.model",
        "dpeformer_jax.retrieval",
        "dpeformer_jax.checkpoint",
        "dpeformer_jax.weights",
        "dpeformer_jax.pretrained",
        "dpeformer_jax.devices",
        "dpeformer_jax.processes",
        "dpeformer_jax.errors",
        "dpeformer_jax.files",
        "dpeformer_jax.validation",
    ),
    "dpeformer_jax/conversion": ("dpeformer_jax.model", "dpeformer_jax.errors"),
    "data": (),
    "configs": (),
}
OURS = ("dpeformer_jax", "data", "configs", "main", "convert_weights")
BANNED = ("tensorflow", "torch", "absl", "clu")


def imported(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_it_may(room):
    own = room.replace("/", ".")
    for path in (ROOT / room).rglob("*.py"):
        for module in imported(path):
            if module.split(".")[0] in OURS:
                assert module.startswith((own, *ALLOWED[room])), f"{path} imports {module}"


@pytest.mark.parametrize("room", ["dpeformer_jax", "data"])
def test_no_tensorflow_torch_or_flags(room):
    for path in (ROOT / room).rglob("*.py"):
        for module in imported(path):
            assert module.split(".")[0] not in BANNED, f"{path} imports {module}"


def test_the_package_never_imports_the_harness():
    for path in (ROOT / "dpeformer_jax").rglob("*.py"):
        for module in imported(path):
            assert module.split(".")[0] not in ("data", "configs", "main"), f"{path}: {module}"


def test_metrics_are_numpy_only():
    modules = imported(ROOT / "dpeformer_jax/retrieval/metrics.py")
    assert modules <= {"dataclasses", "collections.abc.Callable", "numpy"}
