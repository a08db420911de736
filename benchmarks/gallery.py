"""Measures a gallery: building, searching exactly and approximately, forgetting.

python -m benchmarks.gallery --rows 1000000 --width 768

The features are drawn: pictures of a person scatter around a point of their own. They are enrolled
in batches of 16,384. Times are seconds; memory is the highest of the process, in MB.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from dpeformer_jax.features import unit_length
from dpeformer_jax.retrieval.gallery import Gallery
from dpeformer_jax.retrieval.gallery_index import KINDS

BATCH, EACH, QUERIES, TOP = 16_384, 16, 100, 10
SPREAD = 0.7  # of a person's pictures, relative to the distance between people


def drawn(start: int, count: int, width: int) -> np.ndarray:
    """Returns features [count, width] at length 1 of the pictures from `start` on."""
    people = range(start // EACH, -(-(start + count) // EACH))
    centres = {person: np.random.default_rng((0, person)) for person in people}
    points = {p: rng.standard_normal(width, np.float32) for p, rng in centres.items()}
    rng = np.random.default_rng((1, start))
    centre = np.stack([points[place // EACH] for place in range(start, start + count)])
    scatter = rng.standard_normal((count, width), np.float32)
    return unit_length(centre + SPREAD * scatter)


def enrol(gallery: Gallery, rows: int) -> float:
    """Enrols so many pictures; returns the seconds that the gallery took."""
    seconds = 0.0
    for start in range(0, rows, BATCH):
        count = min(BATCH, rows - start)
        features, places = drawn(start, count, gallery.width), range(start, start + count)
        paths = [f"pictures/{place // EACH:06}/{place:08}.jpg" for place in places]
        people, cameras = [str(p // EACH) for p in places], [str(p % 6) for p in places]
        with gallery.writing():
            _, taken = timed(
                lambda names: gallery.add(features, paths, **names),  # noqa: B023  (called at once)
                {"identities": people, "cameras": cameras},
            )
        seconds += taken
    return seconds


def timed(run: Callable[..., Any], *inputs: Any) -> tuple[Any, float]:
    """Returns what a function returns, and the seconds that it took."""
    start = time.perf_counter()
    result = run(*inputs)
    return result, time.perf_counter() - start


def searches(gallery: Gallery, queries: np.ndarray, approximate: bool) -> dict[str, float]:
    """Returns the seconds of all queries, one by one and as one batch."""
    alone = [
        timed(lambda row: gallery.search(row[None], TOP, approximate=approximate), row)[1]
        for row in queries
    ]
    together = timed(lambda: gallery.search(queries, TOP, approximate=approximate))[1]
    return {"one by one": sum(alone), "one batch": together}


def largest_while(folder: Path, run: Callable[[], Any]) -> tuple[float, float]:
    """Returns the seconds of a function, and the largest size of the folder in MB meanwhile."""
    sizes, done = [size_of(folder)], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            sizes.append(size_of(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _, seconds = timed(run)
    finally:
        done.set()
        watcher.join()
    return seconds, max(sizes)


def size_of(folder: Path) -> float:
    """Returns the size of all files in a folder, in MB; files may vanish meanwhile."""
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.path.getsize(os.path.join(root, name))
    return total / 1e6


def peak() -> float:
    """Returns the highest memory of the process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576


def told(name: str, **values: Any) -> None:
    """Prints a line of JSON."""
    rounded = {n: round(v, 3) if isinstance(v, float) else v for n, v in values.items()}
    print(json.dumps({"gallery": name, **rounded}), flush=True)


def measure(rows: int, width: int, kinds: list[str], folder: Path) -> None:
    """Prints a line for each figure."""
    gallery = Gallery.create(folder, network="0" * 64, feature="concat", width=width)
    told("build", rows=rows, width=width, s=enrol(gallery, rows), mb=size_of(folder), peak=peak())
    queries = unit_length(
        drawn(0, QUERIES * EACH, width)[::EACH]
        + 0.3 / width**0.5 * np.random.default_rng(2).standard_normal((QUERIES, width), np.float32)
    )
    told("exact", queries=QUERIES, **searches(gallery, queries, False), peak=peak())
    for kind in kinds:
        index, seconds = timed(gallery.build_index, kind)
        told(f"build {kind}", s=seconds, **index._asdict(), peak=peak())
        told(f"search {kind}", queries=QUERIES, **searches(gallery, queries, True))
    seconds, most = largest_while(folder, lambda: gallery.forget(identity="7"))
    told("forget with an index", s=seconds, largest_mb=most, peak=peak())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=["ivf"], help="of indexes")
    parser.add_argument("--folder", type=Path, help="where there is room (a temporary folder)")
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as name:
        if shutil.disk_usage(name).free < 16 * options.rows * options.width:
            sys.exit(f"{name} has too little room: give --folder")
        measure(options.rows, options.width, options.kinds, Path(name) / "people.index")


if __name__ == "__main__":
    main()
