"""Measures `dpeformer extract`: from JPEG files to a file of features, pictures a second.

python -m benchmarks.bulk --batch-size 32

Peer: the bare network on a batch that lies on the device, as often as there are batches of files.
A ratio of 1 says that reading, decoding and writing cost nothing.
"""

import dataclasses
import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import jax

from benchmarks.measure import Program, alternate, report
from benchmarks.pictures import DrawnRecords
from benchmarks.setting import Setting, measure_all
from benchmarks.training import CAMERAS, IDENTITIES
from configs.unpack import experiment_of
from dpeformer_jax.extraction.extract import extract
from dpeformer_jax.extraction.listing import Listing
from dpeformer_jax.extractor import Extractor
from dpeformer_jax.model.families import build_network

BATCHES = 8  # of files


def measure(setting: Setting, repeats: int) -> None:
    """Prints the line of one setting."""
    experiment = experiment_of(setting.config, IDENTITIES, CAMERAS)
    variables = experiment.fresh_state().variables
    extractor = Extractor(jax.device_get(variables), experiment.spec, setting.batch_size)
    forward = jax.jit(lambda *inputs: build_network(extractor.spec).apply(*inputs).features)
    batch = jax.numpy.zeros((setting.batch_size, *setting.image_size, 3))
    rows = jax.numpy.zeros(setting.batch_size, int)
    count, targets = BATCHES * setting.batch_size, itertools.count()
    with TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "pictures", count)
        pictures = Listing([folder / "pictures"])
        timing = alternate(
            Program(lambda: extract(extractor, pictures, folder / f"{next(targets)}.npz")),
            Program(lambda: [forward(variables, batch, rows) for _ in range(BATCHES)]),
            repeats,
        )
    config = dataclasses.asdict(setting)
    peer = {"name": "bare network", "value": count / timing.second, "ratio": timing.ratio}
    report("bulk", config, count / timing.first, "images/s", peer)


def draw(folder: Path, count: int) -> None:
    """Writes so many pictures as JPEG files."""
    folder.mkdir()
    records = DrawnRecords(-(-count // 4), 4)
    for index in range(count):
        (folder / f"{index:06}.jpg").write_bytes(records.encoded(index))


if __name__ == "__main__":
    measure_all(__doc__, measure)
