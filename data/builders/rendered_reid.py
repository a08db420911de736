"""RenderedReid: occluded person re-ID with people drawn by code; nothing is downloaded."""

import concurrent.futures
import dataclasses
import multiprocessing
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from data.builder import SPLITS, Counts, ReidBuilder, ReidConfig
from data.dataset_spec import DatasetSpec
from data.rendering import make_camera, make_person, take_photo

OCCLUDED_SHARE = 0.1  # share of occluded images in training and gallery, as in Occluded-Duke
MOST_WORKERS = 16  # drawing processes; each holds some 300 MB
FIRST_TEST_IDENTITY = 5001  # above all training identities


class Shot(NamedTuple):
    """A picture to take; frame: a number that no other picture of the data set has."""

    identity: int
    camera: int
    frame: int
    occluded: bool

    @property
    def name(self) -> str:
        return f"{self.identity:04d}_c{self.camera + 1}_f{self.frame:07d}.jpg"


@dataclasses.dataclass(kw_only=True)
class RenderedConfig(ReidConfig):
    """Counts of the splits; the gallery's identities that the query lacks are distractors."""

    train: Counts
    query: Counts
    gallery: Counts
    cameras: int = 8
    seed: int = 0


COUNTS = {
    "small": {"train": Counts(96, 1536), "query": Counts(48, 144), "gallery": Counts(72, 576)},
    "full": {
        "train": Counts(702, 15618),
        "query": Counts(519, 2210),
        "gallery": Counts(1110, 17661),
    },
}


class RenderedReid(ReidBuilder):
    """Drawn people before drawn scenes, split like Occluded-Duke.

    Test identities are disjoint from training identities. Every query is occluded, 30 to 60 % of
    the person; so is about a tenth of training and gallery. Each identity is seen by all cameras in
    turn. The variant "full" has the counts of Occluded-Duke; "small", for the quickstart, trains in
    minutes on a laptop's CPU. A change of data/rendering that changes pictures needs a new VERSION.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS = ("full", "small")
    BUILDER_CONFIGS = [RenderedConfig(name=name, **counts) for name, counts in COUNTS.items()]

    @classmethod
    def configure(cls, spec: DatasetSpec) -> RenderedConfig:
        return cls.builder_configs[cls.variant_of(spec)]

    @staticmethod
    def listing(config: RenderedConfig) -> dict[str, list[Shot]]:
        return {split: plan_shots(config, split) for split in SPLITS}

    def read(self, items: Sequence[Shot]) -> Iterator[bytes]:
        return self._pool.map(partial(_take, self.builder_config.seed), items, chunksize=16)

    def _download_and_prepare(self, *arguments: Any, **options: Any) -> None:
        # Spawned, not forked: this process may run the threads of JAX.
        context = multiprocessing.get_context("spawn")
        workers = min(multiprocessing.cpu_count(), MOST_WORKERS)
        with concurrent.futures.ProcessPoolExecutor(workers, context) as self._pool:
            super()._download_and_prepare(*arguments, **options)


def plan_shots(config: RenderedConfig, split: str) -> list[Shot]:
    """Lists the pictures of a split, sorted by identity; cameras take turns."""
    counts: Counts = getattr(config, split)
    first = 1 if split == "train" else FIRST_TEST_IDENTITY
    number = SPLITS.index(split)
    occluded = np.random.default_rng([config.seed, number]).random(counts.images) < OCCLUDED_SHARE
    owners = np.sort(np.arange(counts.images) % counts.identities)
    return [
        Shot(
            identity=int(first + owner),
            camera=index % config.cameras,
            frame=number * 1_000_000 + index,
            occluded=bool(occluded[index]) or split == "query",
        )
        for index, owner in enumerate(owners)
    ]


def _take(seed: int, shot: Shot) -> bytes:
    person = make_person(np.random.default_rng([seed, shot.identity]))
    rng = np.random.default_rng([seed, shot.identity, shot.frame])
    return take_photo(person, make_camera(seed, shot.camera), rng, shot.occluded).jpeg
