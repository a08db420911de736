"""Turns prepared records into uint8 batches: decodes, caches, follows a plan."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import grain.python as grain
import numpy as np
import PIL
import psutil
from PIL import features

from data.decoded import mapped
from data.labels import Texts, shown
from data.records import Records
from data.sampling import sampling_plan
from dpeformer_jax.base.interfaces import Camera
from dpeformer_jax.base.pictures import decode
from dpeformer_jax.base.progress import progress

DECODED_AT_ONCE = 32  # images that a thread decodes at a time while all are decoded
DECODING = 2  # changes when `decode` gives other pixels than before
SHARE_OF_MEMORY = 0.5  # share of the free memory that "auto" gives to decoded images


@dataclasses.dataclass(frozen=True)
class Loading:
    """How images are read.

    image_size: (height, width) in pixels; cache: where decoded images are kept, in "memory", in a
    "file" of `folder`, or "none"; threads, processes: how many decode.
    """

    image_size: tuple[int, int]
    cache: str
    folder: Path | None
    threads: int
    processes: int


class Cameras(NamedTuple):
    """names: the different cameras of a split; rows: [M] int32 place of each image's camera."""

    names: tuple[Camera, ...]
    rows: np.ndarray

    @classmethod
    def of(cls, parts: Iterable[tuple[str, np.ndarray, Texts]]) -> "Cameras":
        """Lists the cameras of several data sets, sorted by number in each.

        parts: of each, its name, the camera numbers [m], and the texts that they stand for.
        """
        names, rows = [], []
        for name, numbers, texts in parts:
            different, places = np.unique(numbers, return_inverse=True)
            rows.append(len(names) + places)
            names += [(name, camera) for camera in shown(different, texts)]
        return cls(tuple(names), np.concatenate(rows).astype(np.int32))


class Decoder:
    """Decodes images of a split on demand: indices [B] give uint8 [B, H, W, 3]."""

    def __init__(self, records: Records, image_size: tuple[int, int]):
        self._records, self._size = records, image_size

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([decode(self._records.encoded(i), self._size) for i in indices])


def fits_in_memory(images: int, image_size: tuple[int, int]) -> bool:
    """Tells whether that many decoded images take at most half of the free memory."""
    needed = images * image_size[0] * image_size[1] * 3
    return needed <= SHARE_OF_MEMORY * psutil.virtual_memory().available


class Split:
    """The labelled images of one split: `dpeformer_jax.base.interfaces.LabelledImages`.

    labels: [M] int32, identities as 0..C-1 in sorted order; paths: M file names.
    """

    def __init__(
        self, name: str, records: Records, people: Texts, cameras: Cameras, loading: Loading
    ):
        self.identities, self.cameras = records.identities, records.cameras
        self.identity_names = shown(records.identities, people)
        self.camera_names, self.camera_rows = cameras
        self.paths = records.paths
        self.labels = np.unique(self.identities, return_inverse=True)[1].astype(np.int32)
        self._name, self._records, self._loading = name, records, loading

    def __len__(self) -> int:
        return len(self.identities)

    @property
    def digests(self) -> Sequence[bytes]:
        """Returns the SHA-256 of each image file."""
        return self._records.digests

    def batches(self, plan: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the images at the indices [S, B], a row at a time: uint8 [B, H, W, 3]."""
        return iter(self._in_workers(plan, self.pixels.__getitem__))

    def encoded(self, index: int) -> bytes:
        """Returns an image file as it is stored."""
        return self._records.encoded(index)

    @cached_property
    def pixels(self) -> np.ndarray | Decoder:
        """Returns all images [M, H, W, 3]; without a cache each is decoded when indexed."""
        shape = (len(self), *self._loading.image_size, 3)
        if self._loading.cache == "none":
            return Decoder(self._records, self._loading.image_size)
        if self._loading.cache == "file":
            return mapped(self._loading.folder / f"{self._content}.npy", shape, self._decoded())
        pixels, first = np.empty(shape, np.uint8), 0
        for images in self._decoded():
            pixels[first : first + len(images)] = images
            first += len(images)
        return pixels

    def _decoded(self) -> Iterator[np.ndarray]:
        """Yields all images in order, in pieces."""
        decoder = Decoder(self._records, self._loading.image_size)
        pieces = np.array_split(np.arange(len(self)), -(-len(self) // DECODED_AT_ONCE))
        with progress(title=f"decoding {self._name}", unit="image", total=len(self)) as bar:
            for images in self._in_workers(pieces, decoder.__getitem__):
                yield images
                bar.update(len(images))

    @property
    def _content(self) -> str:
        """Returns a name for the decoded images: SHA-256 of all that determines them."""
        libraries = PIL.__version__, features.version("jpg")
        digest = hashlib.sha256(f"{DECODING} {libraries} {self._loading.image_size}".encode())
        for of_file in self._records.digests:
            digest.update(of_file)
        return digest.hexdigest()

    def _in_workers(self, rows: Sequence, work: Callable) -> grain.DatasetIterator:
        """Calls `work` on each row in threads or processes and keeps the order of the rows."""
        threads = self._loading.threads
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
        dataset = grain.MapDataset.source(rows).map(work).to_iter_dataset(options)
        if self._loading.processes and self._loading.cache == "none":
            workers = grain.MultiprocessingOptions(num_workers=self._loading.processes)
            dataset = dataset.mp_prefetch(workers)
        return dataset


@dataclasses.dataclass(frozen=True)
class Sampling:
    """P x K sampling: identities a batch (P), images of each (K), and the seed."""

    identities_per_batch: int
    images_per_identity: int
    seed: int


class TrainingSplit(Split):
    """The training split with its sampling plan."""

    def __init__(self, *arguments, sampling: Sampling):
        super().__init__(*arguments)
        self._sampling = sampling

    def plan(self, epoch: int) -> np.ndarray:
        """Returns the indices [S, P * K] of an epoch's batches; epochs count from 1."""
        return sampling_plan(self.labels, **dataclasses.asdict(self._sampling), epoch=epoch)
