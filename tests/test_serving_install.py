"""The base install: it computes features without what only trainings need, and says nothing."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from thresholds import calibration
from toy import toy_weights

from dpeformer_jax import Extractor
from dpeformer_jax.checkpoint.weights import save_weights
from dpeformer_jax.retrieval.calibration import write_calibration

ROOT = Path(__file__).parents[1]
# Of the extra `train`, without what jax, flax or orbax bring along: absl, optax, psutil, scipy.
LEFT_OUT = (
    *("array_record", "filelock", "grain", "importlib_resources", "ml_collections", "pyarrow"),
    *("tensorboardX", "tensorflow_datasets"),
)
EXTRACT = """
import json, logging, sys
sys.modules.update(dict.fromkeys({left_out!r}))  # importing one of them is an error
def state():
    loggers = [logging.getLogger(name) for name in (None, "absl", "jax")]
    return [(x.level, list(x.handlers), list(x.filters), x.disabled) for x in loggers]
before = state()
from dpeformer_jax import Extractor
Extractor.load({workdir!r})
found = Extractor.load({checkpoint!r}, batch_size=2)({pictures!r}, names=["concat"])
assert state()[0] == before[0], state()
assert state()[1] == before[1], state()
open({result!r}, "w").write(json.dumps(found["concat"].tolist()))
"""


@pytest.fixture
def checkpoint(tmp_path):
    save_weights(tmp_path / "network", toy_weights())
    return tmp_path / "network"


def extracted(python, checkpoint, pictures, folder, cwd):
    """Extracts in a process of its own, which must print nothing."""
    code = EXTRACT.format(
        left_out=LEFT_OUT,
        workdir=str(ROOT / "tests/earlier_versions/1/workdir"),
        checkpoint=str(checkpoint),
        pictures=[str(path) for path in pictures],
        result=str(folder / "result.json"),
    )
    result = subprocess.run(
        [python, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return np.array(json.loads((folder / "result.json").read_text()), np.float32)


@pytest.fixture
def pictures(tmp_path, write_image):
    return [write_image(tmp_path / f"{i}.jpg") for i in range(3)]


@pytest.mark.slow
def test_features_need_no_package_of_the_training_and_print_nothing(checkpoint, pictures, tmp_path):
    found = extracted(sys.executable, checkpoint, pictures, tmp_path, ROOT)
    expected = Extractor.load(checkpoint, batch_size=2)(pictures)["concat"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of an environment with the wheel's base install; needs the network."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "venv", with_pip=True)
    sources = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE", "dpeformer_jax")]
    (folder / "source").mkdir()  # a build leaves files behind
    run("cp", "-r", *sources, folder / "source", cwd=folder)
    python = folder / "venv/bin/python"
    pip(python, "wheel", "--no-deps", "-w", folder, folder / "source")
    pip(python, "install", *folder.glob("dpeformer_jax-*.whl"))
    return python


def run(*line, cwd, code=0):
    """Runs a process that knows nothing of the repository; returns what it prints."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    line = [str(word) for word in line]
    result = subprocess.run(line, cwd=cwd, env=clean, capture_output=True, text=True, timeout=600)
    assert result.returncode == code, (line, result.stdout, result.stderr)
    return result.stdout


def pip(python, *words):
    run(python, "-m", "pip", *words[:1], "-q", *words[1:], cwd=python.parents[2])


@pytest.mark.slow
def test_the_wheel_extracts_in_an_environment_of_its_own(installed, checkpoint, pictures, tmp_path):
    found = extracted(installed, checkpoint, pictures, tmp_path, tmp_path)
    expected = Extractor.load(checkpoint, batch_size=2)(pictures)["concat"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    (package,) = installed.parents[1].glob("lib/python*/site-packages/dpeformer_jax")
    assert (package / "py.typed").exists()


@pytest.mark.slow
def test_the_wheels_command_does_everything(installed, checkpoint, pictures, tmp_path):
    """First what the base install does, then what the named extras add."""
    weights = Extractor.load(checkpoint).fingerprint
    write_calibration(checkpoint, calibration(weights, (3.9, 3.8, 0)))
    network = ("--checkpoint", checkpoint, "--batch-size", 2)

    def dpeformer(*line, code=0):
        return run(installed.parent / "dpeformer", *line, cwd=tmp_path, code=code)

    assert f"weights      {weights}" in dpeformer("info", checkpoint)
    assert run(installed, "-m", "dpeformer_jax", "--help", cwd=tmp_path).startswith("usage: dpe")
    assert dpeformer("match", *pictures[:2], *network).startswith("same")
    dpeformer("extract", *pictures, "--to", "f.npz", *network)
    expected = Extractor.load(checkpoint, batch_size=2)(pictures)["concat"]
    np.testing.assert_allclose(np.load(tmp_path / "f.npz")["concat"], expected, atol=1e-5)
    dpeformer("index", "add", "people", "f.npz", code=2)  # names the extra
    dpeformer("export", "--format", "onnx", "--to", "exported", *network[:2], code=2)
    explain = "explain", *pictures[:2], "--out", "why.png", *network
    dpeformer(*explain, code=2)
    (wheel,) = installed.parents[2].glob("dpeformer_jax-*.whl")
    pip(installed, "install", f"dpeformer_jax[pictures,gallery,stablehlo,onnx] @ file://{wheel}")
    assert "why.png shows it" in dpeformer(*explain)
    dpeformer("index", "add", "people", "f.npz")
    dpeformer("index", "add", "people", pictures[0], "--identity", "anna", *network)
    assert json.loads(dpeformer("index", "info", "people", "--json"))["rows"] == 3
    line = "search", "people", pictures[0], "--sheet", "answers.jpg", *network
    assert str(pictures[0]) in dpeformer(*line)
    assert (tmp_path / "answers.jpg").stat().st_size
    dpeformer("forget", "people", "--path", pictures[0])
    assert f"{pictures[0]}\n" not in dpeformer("search", "people", pictures[0], *network)
    for form in ("stablehlo", "onnx"):
        dpeformer("export", "--format", form, "--to", form, *network[:2])
        assert (tmp_path / form / "export.json").exists()
