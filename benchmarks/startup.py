"""Measures a start: seconds from the command to the first training step of main.py as a process.

python -m benchmarks.startup --repeats 3

The data set is a small folder of drawn people, prepared before. A cold start has an empty
compilation cache; a warm start has the cache that the cold one left, and a new workdir. The time
includes the scores of the untrained network, the first checkpoint and the pass that fills the
memory bank.
"""

import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import report
from benchmarks.pictures import DrawnRecords
from benchmarks.setting import Setting, measure_all
from benchmarks.training import IMAGES_PER_IDENTITY
from data.dataset import load_dataset
from data.dataset_spec import DataSettings

ROOT = Path(__file__).parents[1]
TEST_IDENTITIES = 4


def measure(setting: Setting, repeats: int) -> None:
    """Prints the lines of one setting."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "images", setting)
        fields = fields_of(setting, folder)
        prepare(fields["data"])
        seconds = zip(*(start_twice(fields) for _ in range(repeats)), strict=True)
    # At the end, for a report starts JAX, which would take the GPU that the processes need.
    for kind, times in zip(("cold", "warm"), seconds, strict=True):
        config = dataclasses.asdict(setting) | {"start": kind}
        report("startup", config, statistics.median(times), "s to the first step")


def draw(folder: Path, setting: Setting) -> None:
    """Draws a folder in Market-1501's layout, with one batch of training images."""
    identities = setting.batch_size // IMAGES_PER_IDENTITY
    records = DrawnRecords(identities + TEST_IDENTITIES, IMAGES_PER_IDENTITY)
    people = zip(records.paths, records.identities, records.cameras, strict=True)
    for index, (path, identity, camera) in enumerate(people):
        tested = "query" if camera == 1 else "bounding_box_test"
        split = "bounding_box_train" if identity <= identities else tested
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / split / path).write_bytes(records.encoded(index))


def fields_of(setting: Setting, folder: Path) -> dict[str, dict[str, object]]:
    """Returns the config fields of the setting on the drawn folder, by section."""
    data = {"builder": "reid_folder", "root": str(folder / "images"), "data_dir": str(folder)}
    return setting.fields | {"data": setting.fields["data"] | data}


def prepare(fields: dict[str, object]) -> None:
    """Prepares the data set, so that no start has to."""
    with contextlib.redirect_stdout(sys.stderr):  # standard output holds the report alone
        load_dataset(DataSettings(**fields), (), None)


def start_twice(fields: dict[str, dict[str, object]]) -> tuple[float, float]:
    """Returns the seconds of a cold and of a warm start."""
    with TemporaryDirectory() as cache:
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
        return start(fields, environment), start(fields, environment)


def start(fields: dict[str, dict[str, object]], environment: dict[str, str]) -> float:
    """Returns the seconds from the command to the line of the first step, in a new workdir."""
    command = [sys.executable, "main.py", "--config=configs/default.py"]
    command += ["--config.train.log_every=1"]
    for section, values in fields.items():
        command += [f"--config.{section}.{name}={value}" for name, value in values.items()]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with TemporaryDirectory() as workdir:
        began, told = time.perf_counter(), ""
        command += [f"--workdir={workdir}"]
        with subprocess.Popen(command, cwd=ROOT, env=environment, **streams) as process:
            for line in process.stdout:
                told += line
                if line.startswith("step 1/"):
                    seconds = time.perf_counter() - began
                    process.kill()  # SIGTERM would save a checkpoint first
                    return seconds
    raise RuntimeError(f"{' '.join(command)} ended before its first step:\n{told}")


if __name__ == "__main__":
    measure_all(__doc__, measure)
