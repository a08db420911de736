"""Fixtures: a small folder of pictures, a small drawn data set, compiling each program once."""

import importlib
import logging
import os
import signal
import sys
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest
from converting import tensors
from object_stores import BUCKET, s3_server
from PIL import Image

import convert_weights
from data.builder import Counts, prepare
from data.builders.rendered_reid import RenderedConfig, RenderedReid
from data.dataset_spec import DataSettings
from dpeformer_jax.base.command import LOGGERS

# Compiling takes most of the tests' time. Without LLVM's optimisation it takes half as long, and
# without XLA's newer way to write fused loops a third.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)
MARKET = {
    "bounding_box_train": (
        *("2_c1_0.jpg", "2_c3_1.jpg", "2_c1_2.jpg", "2_c3_3.jpg"),
        *("5_c1_0.jpg", "5_c3_1.jpg"),
        *("11_c1_0.jpg", "11_c3_1.jpg", "11_c1_2.jpg"),
        "-1_c1_0.jpg",
    ),
    "query": ("20_c1_0.jpg", "21_c3_0.jpg"),
    "bounding_box_test": (
        *("20_c3_1.jpg", "20_c2_2.jpg", "21_c1_1.jpg"),
        *("0_c1_0.jpg", "99_c7_0.jpg", "-1_c3_0.jpg"),
    ),
}


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Tests, the workers of a run and their processes share what XLA compiled: saves minutes."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = str(shared / "compiled")
    settings = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0,
    }
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


@pytest.fixture(autouse=True)
def log(caplog):
    """Tests read the project's log by caplog, also after one that ran a command's own set-up."""
    for name in LOGGERS:
        caplog.set_level(logging.INFO, name)
    yield caplog
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


def needed(name):
    """A module that the base install does without; in CI no test is skipped for want of it."""
    return importlib.import_module(name) if os.environ.get("CI") else pytest.importorskip(name)


@pytest.fixture(scope="session")
def torch():
    needed("safetensors")
    return needed("torch")


@pytest.fixture(scope="session")
def timm(torch):
    return needed("timm")


@pytest.fixture(scope="session")
def open_clip(torch):
    return needed("open_clip")


@pytest.fixture(scope="session")
def write_image():
    """Writes noise that follows from the file's name, in the format that its suffix says."""

    def write(path, size=(20, 40)):
        rng = np.random.default_rng(zlib.crc32(path.name.encode()))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def market(tmp_path, write_image):
    """A folder in Market-1501's layout: 9 training, 2 query and 5 gallery images, and junk."""
    for folder, names in MARKET.items():
        for name in names:
            write_image(tmp_path / "market" / folder / name)
    return tmp_path / "market"


@pytest.fixture
def settings(market, tmp_path):
    """The settings that read the folder `market`."""
    return DataSettings(
        builder="reid_folder",
        root=str(market),
        data_dir=str(tmp_path / "prepared"),
        image_size=(32, 16),
    )


@pytest.fixture(scope="session")
def drawn_config():
    """Drawn people, so few that they are drawn within seconds."""
    counts = {"train": Counts(4, 16), "query": Counts(2, 4), "gallery": Counts(3, 12)}
    return RenderedConfig(name="tiny", **counts)


@pytest.fixture(scope="session")
def drawn_dir(drawn_config, tmp_path_factory):
    """A folder of prepared data sets that holds the one of `drawn_config`."""
    folder = tmp_path_factory.mktemp("drawn")
    prepare(RenderedReid, str(folder), config=drawn_config)
    return folder


@pytest.fixture(scope="session")
def shared_data():
    """The folder with real pictures; DPEFORMER_DATA names it. A test that needs one may skip."""
    folder = Path(os.environ.get("DPEFORMER_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real pictures: {folder} is not a folder (see DPEFORMER_DATA)")
    return folder


@pytest.fixture
def convert(monkeypatch, capsys):
    """Runs the command in this process; returns its output, or the one line of a refusal."""

    def run(source, target, *options, code=0):
        line = ["convert_weights.py", f"--source={source}", f"--target={target}", *options]
        monkeypatch.setattr(sys, "argv", line)
        if code == 0:
            convert_weights.main()
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as stopped:
            convert_weights.main()
        told = capsys.readouterr().err
        assert stopped.value.code == code and len(told.splitlines()) == 1, told
        return told

    return run


@pytest.fixture
def save(torch, tmp_path):
    """Saves arrays as a torch file."""

    def write(state, name="source.pth", **options):
        torch.save(tensors(torch, state), tmp_path / name, **options)
        return tmp_path / name

    return write


@pytest.fixture
def store_variables(monkeypatch):
    """The variables that lead to an object store with one empty bucket; set in this process."""
    with s3_server() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        needed("boto3").client("s3").create_bucket(Bucket=BUCKET)
        yield variables


@pytest.fixture
def store(store_variables):
    """A client of the object store."""
    return needed("boto3").client("s3")


@pytest.fixture
def dpeformer(monkeypatch, capsys):
    """Runs the command in this process; returns its output, or the one line of a refusal."""
    from dpeformer_jax.cli.main import main

    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def run(*line, code=0):
        with pytest.raises(SystemExit) as stopped:
            main([str(word) for word in line])
        shown = capsys.readouterr()
        assert stopped.value.code == code, shown.err
        if code != 2:
            return shown.out
        told = shown.err.splitlines()[-1]
        assert told.startswith("dpeformer: ") and "Traceback" not in shown.err, shown.err
        return told

    return run
