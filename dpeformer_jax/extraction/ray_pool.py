"""The same extraction on the machines of a Ray cluster, by Ray Data."""

import logging
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.progress import progress
from dpeformer_jax.extraction.computing import Pictures, Piece, computed
from dpeformer_jax.extraction.extract import (
    Summary,
    about_of,
    finish,
    missing_pieces,
    parts_of,
    prepare,
)
from dpeformer_jax.extraction.rows import About, rows_of
from dpeformer_jax.extraction.video import VideoListing
from dpeformer_jax.extractor import Extractor

LOCAL = "local"  # the address of a cluster that is this machine alone


class Worker:
    """Computes pieces in a process of its own, and writes them where all machines see them."""

    def __init__(
        self, folder: str, checkpoint: Path, target: Path | str, about: About, **network: Any
    ):
        os.chdir(folder)  # relative paths mean the same in every process
        self._extractor = Extractor.load(checkpoint, **network)
        self._parts, self._features = parts_of(target, about), [*about.features]

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Writes row["piece"]; returns the errors [n] of its pictures."""
        ((piece, found),) = computed(
            self._extractor, [pickle.loads(row["piece"])], self._features, lambda count: None
        )
        rows = rows_of(piece.items, found)
        self._parts.write(piece.number, rows)
        return {"errors": rows["error"]}


def extract_on_ray(
    checkpoint: Path,
    pictures: Pictures,
    target: Path | str,
    *,
    address: str,
    workers: int | None = None,
    batch_size: int = 32,
    threads: int | None = None,
    features: list[str] | None = None,
    strict: bool = False,
    overwrite: bool = False,
) -> Summary:
    """Does what `extract` does, in a pool of processes on all machines of a Ray cluster.

    Checkpoint, pictures and target must lie where all machines see them under one path: in shared
    folders or, but for the checkpoint, in an object store. The process that calls this computes
    nothing, and holds the paths of all pictures.

    Args:
        address: of the cluster; "auto" for the one that this machine belongs to; LOCAL for this
            machine alone.
        workers: processes; None for one a GPU, or one a machine where there is no GPU.

    For the other arguments, and the errors, see `extract` and Extractor.load. Raises UserError also
    for a video, whose frames must be read in order, and where Ray is missing or has no cluster.
    """
    if isinstance(pictures, VideoListing):
        raise UserError("--ray takes pictures and no --boxes: frames are read one after the other")
    ray = _started(address)
    try:
        checkpoint = checkpoint.absolute()
        about = ray.get(ray.remote(_about).remote(checkpoint, features))
        parts = prepare(target, about, overwrite)
        summary = Summary(str(target))
        with progress(title="extracting", unit="picture", total=pictures.count()) as bar:
            missing = [*missing_pieces(parts, pictures, summary, strict, bar.update)]
            start = time.monotonic()
            worker = {
                "fn_constructor_args": (os.getcwd(), checkpoint, target, about),
                "fn_constructor_kwargs": {"batch_size": batch_size, "threads": threads},
            }
            for errors in _errors(ray, missing, worker, workers):
                summary.count(errors)
                bar.update(len(errors))
            summary.seconds = time.monotonic() - start
        return finish(parts, summary, strict)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from error
        raise
    finally:
        ray.shutdown()


def _started(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise UserError("--ray needs Ray: pip install 'dpeformer_jax[ray]'") from error
    try:
        ray.init(None if address == LOCAL else address, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise UserError(
            f"--ray={address}: no such cluster ({error}); start one by `ray start --head`, or give "
            f"--ray {LOCAL}"
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _about(checkpoint: Path, features: list[str] | None) -> About:
    return about_of(Extractor.load(checkpoint), features)


def _errors(
    ray: Any, missing: list[Piece], worker: dict[str, Any], workers: int | None
) -> Iterator[np.ndarray]:
    """Yields the errors [n] of each piece when it is written."""
    if not missing:
        return
    pieces = [{"piece": pickle.dumps(piece)} for piece in missing]
    rows = ray.data.from_items(pieces, override_num_blocks=len(pieces))
    done = rows.map(Worker, **worker, **_pool(ray, workers, len(pieces)))
    for row in done.iter_rows():
        yield row["errors"]


def _pool(ray: Any, workers: int | None, pieces: int) -> dict[str, Any]:
    """Returns the size of the pool of processes, and what each of them takes of a machine."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    size = min(workers or gpus or len(ray.nodes()), pieces)
    own = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    return {"compute": ray.data.ActorPoolStrategy(size=size), **own}
