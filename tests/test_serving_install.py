"""The base install: it computes features without what only trainings need, and says nothing."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from toy import toy_weights

from dpeformer_jax import Extractor
from dpeformer_jax.checkpoint.weights import save_weights

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


@pytest.mark.slow
def test_the_wheel_extracts_in_an_environment_of_its_own(checkpoint, pictures, tmp_path):
    """Needs the network, for what the base install depends on."""
    clean = {"env": {**os.environ, "PYTHONPATH": ""}, "check": True, "capture_output": True}
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    sources = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE", "dpeformer_jax")]
    (tmp_path / "source").mkdir()  # a build leaves files behind
    subprocess.run(["cp", "-r", *sources, tmp_path / "source"], **clean)
    wheel = ["wheel", "-q", "--no-deps", "-w", tmp_path, tmp_path / "source"]
    subprocess.run([python, "-m", "pip", *wheel], **clean)
    (built,) = tmp_path.glob("dpeformer_jax-*.whl")
    subprocess.run([python, "-m", "pip", "install", "-q", built], **clean)
    found = extracted(python, checkpoint, pictures, tmp_path, tmp_path)
    expected = Extractor.load(checkpoint, batch_size=2)(pictures)["concat"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    (package,) = (tmp_path / "venv").glob("lib/python*/site-packages/dpeformer_jax")
    assert (package / "py.typed").exists()
