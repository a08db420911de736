"""Data sets are prepared once, without TensorFlow, and read back in the order of their files."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.builder import SPLITS, Records, prepare
from data.builders.reid_folder import ReidFolder
from data.source import Source

LOAD = """
import json, sys
from configs.default import get_config
from data.dataset import load_dataset
from data.pipeline import Sampling
fields = get_config().data
fields.builder, fields.root = "reid_folder", sys.argv[1]
train = load_dataset(fields, (), Sampling(2, 2, 0)).train
batches = list(train.batches(train.plan(1)))
print(json.dumps({"batches": len(batches), "tensorflow": "tensorflow" in sys.modules}))
"""


def opened(fields):
    source = Source("reid_folder", root=fields.root, pattern=fields.pattern)
    return prepare(ReidFolder, fields.data_dir, config=ReidFolder.configure(source))


@pytest.fixture
def loaded_elsewhere(market, tmp_path):
    """What a new process reports that loads the folder `market` with no data_dir of its own."""
    environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path / "tfds"), "PYTHONPATH": "."}
    command = [sys.executable, "-c", LOAD, str(market)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(output.stdout.splitlines()[-1])


def test_loading_needs_no_tensorflow_and_no_data_dir(loaded_elsewhere, tmp_path):
    assert loaded_elsewhere["batches"] > 0
    assert not loaded_elsewhere["tensorflow"]
    assert list((tmp_path / "tfds" / "reid_folder").iterdir())


def test_records_come_in_the_order_of_the_files(fields):
    records = Records(opened(fields), "train")
    assert len(records) == 9
    assert records.identities.tolist() == [11, 11, 11, 2, 2, 2, 2, 5, 5]
    assert records.cameras.tolist() == [1, 1, 3, 1, 1, 3, 3, 1, 3]
    assert records.paths[:4] == [
        f"bounding_box_train/{name}.jpg" for name in ("11_c1_0", "11_c1_2", "11_c3_1", "2_c1_0")
    ]


def test_every_split_is_stored(fields):
    builder = opened(fields)
    assert [len(Records(builder, split)) for split in SPLITS] == [9, 2, 5]


def held(records):
    """All that records tell without reading an image."""
    numbers = records.identities.tolist(), records.cameras.tolist()
    assert records.identities.dtype == records.cameras.dtype == np.int64
    return *numbers, records.paths, records.digests


def test_records_tell_of_the_images_that_are_stored(fields):
    records = Records(opened(fields), "train")
    encoded = [records.encoded(index) for index in range(len(records))]
    assert records.digests == [hashlib.sha256(image).digest() for image in encoded]
    files = [Path(fields.root, path).read_bytes() for path in records.paths]
    assert encoded == files


def test_later_starts_read_no_image(fields, monkeypatch):
    builder = opened(fields)
    first = held(Records(builder, "train"))
    monkeypatch.setattr(Records, "_rows", None)
    assert held(Records(builder, "train")) == first


def test_data_that_were_prepared_without_an_index_get_one(fields):
    builder = opened(fields)
    first = held(Records(builder, "train"))
    index = Path(builder.data_path) / "train.index.json"
    index.unlink()
    assert held(Records(builder, "train")) == first
    assert index.exists()


def test_a_prepared_data_set_is_not_prepared_again(fields, capsys):
    opened(fields)
    assert f"in {fields.data_dir}" in capsys.readouterr().out
    opened(fields)
    assert "preparing" not in capsys.readouterr().out


def test_the_home_folder_is_known_as_a_tilde(fields, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fields.data_dir = "~/mine"
    assert opened(fields).data_path.is_relative_to(tmp_path / "mine")
