"""Data sets are prepared once, without TensorFlow, and read back in the order of their files."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.builder import SPLITS, prepare
from data.builders.reid_folder import ReidFolder
from data.dataset_spec import DatasetSpec
from data.records import Records

LOAD = """
import json, sys
from data.dataset import load_dataset
from data.pipeline import Sampling
from data.dataset_spec import DataSettings
settings = DataSettings(builder="reid_folder", root=sys.argv[1])
train = load_dataset(settings, (), Sampling(2, 2, 0)).train
batches = list(train.batches(train.plan(1)))
loaded = [name for name in ("tensorflow", "ml_collections") if name in sys.modules]
print(json.dumps({"batches": len(batches), "loaded": loaded}))
"""


def opened(settings):
    spec = DatasetSpec("reid_folder", root=settings.root, pattern=settings.pattern)
    return prepare(ReidFolder, settings.data_dir, config=ReidFolder.configure(spec))


@pytest.fixture
def loaded_elsewhere(market, tmp_path):
    """What a new process reports that loads the folder `market` with no data_dir of its own."""
    environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path / "tfds"), "PYTHONPATH": "."}
    command = [sys.executable, "-c", LOAD, str(market)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(output.stdout.splitlines()[-1])


def test_loading_needs_no_tensorflow_no_config_and_no_data_dir(loaded_elsewhere, tmp_path):
    assert loaded_elsewhere["batches"] > 0
    assert loaded_elsewhere["loaded"] == []
    assert list((tmp_path / "tfds" / "reid_folder").iterdir())


def test_records_come_in_the_order_of_the_files(settings):
    records = Records(opened(settings), "train")
    assert len(records) == 9
    assert records.identities.tolist() == [11, 11, 11, 2, 2, 2, 2, 5, 5]
    assert records.cameras.tolist() == [1, 1, 3, 1, 1, 3, 3, 1, 3]
    assert records.paths[:4] == [
        f"bounding_box_train/{name}.jpg" for name in ("11_c1_0", "11_c1_2", "11_c3_1", "2_c1_0")
    ]


def test_every_split_is_stored(settings):
    builder = opened(settings)
    assert [len(Records(builder, split)) for split in SPLITS] == [9, 2, 5]


def held(records):
    """All that records tell without reading an image."""
    numbers = records.identities.tolist(), records.cameras.tolist()
    assert records.identities.dtype == records.cameras.dtype == np.int64
    return *numbers, records.paths, records.digests


def test_records_tell_of_the_images_that_are_stored(settings):
    records = Records(opened(settings), "train")
    encoded = [records.encoded(index) for index in range(len(records))]
    assert records.digests == [hashlib.sha256(image).digest() for image in encoded]
    files = [Path(settings.root, path).read_bytes() for path in records.paths]
    assert encoded == files


def test_later_starts_read_no_image(settings, monkeypatch):
    builder = opened(settings)
    first = held(Records(builder, "train"))
    monkeypatch.setattr(Records, "_rows", None)
    assert held(Records(builder, "train")) == first


def test_data_that_were_prepared_without_a_label_cache_get_one(settings):
    builder = opened(settings)
    first = held(Records(builder, "train"))
    cache = Path(builder.data_path) / "train.index.json"
    cache.unlink()
    assert held(Records(builder, "train")) == first
    assert cache.exists()


def test_a_prepared_data_set_is_not_prepared_again(settings, caplog):
    caplog.set_level("INFO", "data")
    opened(settings)
    assert f"in {settings.data_dir}" in caplog.text
    caplog.clear()
    opened(settings)
    assert "preparing" not in caplog.text


def test_the_home_folder_is_known_as_a_tilde(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert opened(replace(settings, data_dir="~/mine")).data_path.is_relative_to(tmp_path / "mine")
