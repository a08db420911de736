"""Imports point one way, and what is slow to load is loaded where it is used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "dpeformer_jax"
WITH_EXTRACTOR = (
    *("extractor", "loading", "extracted", "features", "checkpoint", "model", "runtime", "base"),
)
# What each room may import of ours besides itself: docs/architecture.md.
ALLOWED = {
    "dpeformer_jax/base": (),
    "dpeformer_jax/runtime": ("base",),
    "dpeformer_jax/model": ("base",),
    "dpeformer_jax/features.py": ("model", "runtime", "base"),
    "dpeformer_jax/checkpoint": ("model", "runtime", "base"),
    "dpeformer_jax/conversion": ("checkpoint", "model", "base"),
    "dpeformer_jax/training": ("features", "checkpoint", "model", "runtime", "base"),
    "dpeformer_jax/retrieval": ("features", "checkpoint", "model", "runtime", "base"),
    "dpeformer_jax/loading.py": ("base",),
    "dpeformer_jax/extracted.py": ("features",),
    "dpeformer_jax/extractor.py": WITH_EXTRACTOR[1:],
    "dpeformer_jax/extraction": (*WITH_EXTRACTOR,),
    "dpeformer_jax/explanation": (*WITH_EXTRACTOR,),
    "dpeformer_jax/pictures": ("explanation", "model", "base"),
    "dpeformer_jax/report": ("pictures", "explanation", "retrieval", "features", "model", "base"),
    "dpeformer_jax/export": ("retrieval", *WITH_EXTRACTOR),
    "dpeformer_jax/serving": (
        *("extraction", "explanation", "pictures", "retrieval"),
        *WITH_EXTRACTOR,
    ),
    "dpeformer_jax/cli": (
        *("serving", "extraction", "export", "pictures", "retrieval", "__version__"),
        *WITH_EXTRACTOR,
    ),
    "dpeformer_jax/__main__.py": ("cli",),
    "data": ("base",),
}
OURS = (PACKAGE, "data", "configs", "main", "convert_weights", "benchmarks", "tests")
# The base install runs these with what pyproject.toml lists as `dependencies`.
SERVING = (
    *("base", "runtime", "model", "checkpoint", "conversion"),
    *("extraction", "explanation", "export", "serving", "pictures", "cli"),
)
SERVING_FILES = (
    *("features.py", "loading.py", "extracted.py", "extractor.py", "__init__.py", "__main__.py"),
    *("retrieval/calibration.py", "retrieval/verdict.py"),
)
BASE_INSTALL = {"flax", "jax", "numpy", "orbax", "PIL", "tqdm"}
# What an extra brings, and the files that say so where it is missing.
EXTRAS = {
    "export/onnx_file.py": {"jax2onnx", "onnxruntime"},
    "export/stablehlo.py": {"flatbuffers"},
    "extraction/object_store.py": {"pyarrow"},
    "extraction/parquet_file.py": {"pyarrow"},
    "extraction/ray_pool.py": {"ray"},
    "extraction/video.py": {"av"},
    "pictures/explanation_figure.py": {"matplotlib"},
    "pictures/patch_overlay.py": {"matplotlib"},
}
TORCH = ("torch", "timm", "safetensors", "torchvision")
TORCH_FILE = ROOT / "dpeformer_jax/conversion/torch_files.py"


def files_of(room: str) -> list[Path]:
    path = ROOT / room
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def imported(nodes) -> set[str]:
    """The modules that a tree of code imports, with the names taken from them."""
    modules = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def anywhere(path: Path) -> set[str]:
    """Lazy imports inside functions count too."""
    return imported(ast.walk(ast.parse(path.read_text())))


def top(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_it_may(room):
    own = room.removesuffix(".py").replace("/", ".")
    allowed = (own, *(f"{PACKAGE}.{name}" for name in ALLOWED[room]))
    files = files_of(room)
    assert files
    for path in files:
        wrong = {
            module
            for module in anywhere(path)
            if module.split(".")[0] in OURS
            and not any(f"{module}.".startswith(f"{name}.") for name in allowed)
        }
        assert not wrong, f"{path} imports {wrong}"


def test_every_file_of_the_package_belongs_to_a_room():
    rooms = [set(files_of(room)) for room in ALLOWED]
    left = set(files_of(PACKAGE)) - set().union(*rooms) - {ROOT / PACKAGE / "__init__.py"}
    assert not left


def test_the_package_never_imports_the_harness():
    for path in files_of(PACKAGE):
        assert not top(anywhere(path)) & {"data", "configs", "main", "absl", "ml_collections"}, path


@pytest.mark.parametrize("room", [*SERVING, *SERVING_FILES])
def test_what_computes_features_needs_the_base_install_alone(room):
    for path in set(files_of(f"{PACKAGE}/{room}")) - {TORCH_FILE}:
        own = path.relative_to(ROOT / PACKAGE).as_posix()
        allowed = BASE_INSTALL | EXTRAS.get(own, set())
        left = top(anywhere(path)) - allowed - set(OURS) - sys.stdlib_module_names
        assert not left, f"{path} imports {left}"


def test_base_has_no_jax():
    for path in files_of("dpeformer_jax/base"):
        assert not top(anywhere(path)) & {"jax", "flax", "optax", "orbax"}, path


@pytest.mark.parametrize("room", [PACKAGE, "data", "configs"])
def test_no_tensorflow(room):
    for path in files_of(room):
        assert not top(anywhere(path)) & {"tensorflow", "clu"}, path


@pytest.mark.parametrize("room", [PACKAGE, "data", "configs", "main.py", "convert_weights.py"])
def test_torch_is_imported_by_one_file_and_lazily(room):
    for path in files_of(room):
        if path == TORCH_FILE:
            continue
        assert not top(anywhere(path)) & set(TORCH), path


def test_the_one_file_imports_torch_within_functions():
    tree = ast.parse(TORCH_FILE.read_text())
    assert "torch" in top(imported(ast.walk(tree)))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {node for function in functions for node in ast.walk(function)}
    assert not top(imported(set(ast.walk(tree)) - inside)) & set(TORCH)


@pytest.mark.parametrize(("room", "most"), [(PACKAGE, 0), ("data", 1), ("configs", 0)])
def test_no_relative_import_leaves_its_folder(room, most):
    for path in files_of(room):
        nodes = ast.walk(ast.parse(path.read_text()))
        levels = {node.level for node in nodes if isinstance(node, ast.ImportFrom)}
        assert max(levels, default=0) <= most, path


@pytest.mark.parametrize("room", [PACKAGE, "data", "configs"])
def test_no_module_is_imported_by_a_string(room):
    for path in files_of(room):
        names = {
            getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(ast.parse(path.read_text()))
        }
        assert not names & {"import_module", "__import__"}, path


def test_the_package_does_not_print():
    commands = {*files_of("data/occluders"), *files_of("dpeformer_jax/cli")}
    for room in (PACKAGE, "data"):
        for path in set(files_of(room)) - commands:
            called = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            printed = [n for n in called if isinstance(n.func, ast.Name) and n.func.id == "print"]
            to_stderr = [n for n in printed if {k.arg for k in n.keywords} >= {"file"}]
            assert printed == to_stderr, path


LOADED = "import sys; import {}; print(*(name for name in {!r} if name in sys.modules))"


def loaded(module: str, *names: str) -> list[str]:
    """Which of the names a process has loaded that imports the module."""
    command = [sys.executable, "-c", LOADED.format(module, names)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("dpeformer_jax.base.pictures", ("jax", "flax", "torch")),
        ("data.listing", ("jax", "flax", "torch", "tensorflow")),
        (
            "dpeformer_jax.cli.main",
            ("jax", "flax", "lancedb", "numpy", "PIL", "pyarrow", "ray", "av"),
        ),
        ("dpeformer_jax.extractor", (*TORCH, "tensorflow", "tensorflow_datasets")),
        ("main", (*TORCH, "tensorflow")),
    ],
)
def test_what_a_process_loads(module, names):
    assert loaded(module, *names) == []
