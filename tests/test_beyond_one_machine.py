"""Extraction on a local Ray cluster of two workers, and to and from a local object store."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest
from object_stores import BUCKET
from toy import toy_weights

from dpeformer_jax import Extractor
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import save_weights
from dpeformer_jax.extraction.extract import extract
from dpeformer_jax.extraction.listing import Listing

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkpoint(tmp_path):
    save_weights(tmp_path / "network", toy_weights())
    return tmp_path / "network"


@pytest.fixture
def folder(tmp_path, write_image):
    """Three pieces of pictures; one picture is broken."""
    paths = [write_image(tmp_path / "pictures" / f"{i:04}.png", (6, 12)) for i in range(2100)]
    paths[1500].write_bytes(b"broken")
    return tmp_path / "pictures"


def run(*words):
    line = [sys.executable, "-m", "dpeformer_jax", "extract", *map(str, words)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300)


def names_in(store):
    return [entry["Key"] for entry in store.list_objects_v2(Bucket=BUCKET).get("Contents", ())]


@pytest.mark.slow
def test_two_workers_of_ray_write_the_file_of_one_process(checkpoint, folder, tmp_path):
    alone, together = tmp_path / "alone.npz", tmp_path / "together.npz"
    extract(Extractor.load(checkpoint, batch_size=32), Listing([folder]), alone)
    words = folder, "--checkpoint", checkpoint, "--to", together, "--ray", "local", "--workers", 2
    result = run(*words)
    assert result.returncode == 0 and "2099 of 2100" in result.stdout, result.stderr
    assert "Traceback" not in result.stderr
    expected, found = np.load(alone), np.load(together)
    assert sorted(found) == sorted(expected)
    for name in ("path", "error", "kept", "about"):
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_allclose(found["concat"], expected["concat"], atol=1e-6)


@pytest.mark.slow
def test_a_store_gives_pictures_and_takes_features_which_ray_completes(checkpoint, folder, store):
    for path in sorted(folder.iterdir()):
        store.upload_file(str(path), BUCKET, f"pictures/{path.name}")
    url, target = f"s3://{BUCKET}/pictures", f"s3://{BUCKET}/features"
    extractor = Extractor.load(checkpoint, batch_size=32)
    summary = extract(extractor, Listing([url]), target)
    assert (summary.pictures, summary.unreadable) == (2100, 1)
    assert "0001500.png" not in summary.errors[0] and "1500.png" in summary.errors[0]
    paths = sorted(path for path in folder.iterdir() if path.name != "1500.png")
    expected = extractor(paths)["concat"]

    def check():
        files = [name for name in names_in(store) if name.endswith(".parquet")]
        assert files == [f"features/000000{number}.parquet" for number in range(3)]
        table = ds.dataset(f"{BUCKET}/features", filesystem=_arrow_store()).to_table()
        assert table["path"].to_pylist()[5] == f"{url}/0005.png"
        found = np.stack([row for row in table["concat"].to_pylist() if row is not None])
        np.testing.assert_allclose(found, expected, atol=1e-6)

    check()
    store.delete_object(Bucket=BUCKET, Key="features/0000001.parquet")
    with pytest.raises(UserError, match="holds something else than features"):
        extract(extractor, Listing([url]), url, overwrite=True)
    words = url, "--checkpoint", checkpoint, "--to", target, "--ray", "local", "--workers", 2
    result = run(*words)
    assert result.returncode == 0 and "1024 computed" in result.stdout, result.stderr
    check()


def _arrow_store():
    from pyarrow.fs import FileSystem

    return FileSystem.from_uri(f"s3://{BUCKET}")[0]
