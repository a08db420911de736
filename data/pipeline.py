"""From prepared records to uint8 batches: decoding, keeping what is decoded, order."""

import dataclasses
import hashlib
import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import grain.python as grain
import numpy as np
import PIL
import psutil
from PIL import Image, features
from tqdm import tqdm

from data.builder import Records
from data.decoded import mapped
from data.sampling import sampling_plan

DECODED_AT_ONCE = 32  # images of one piece of work while all are decoded
DECODING = 1  # changes with `decode`, where that gives other pixels than before
SHARE_OF_MEMORY = 0.5  # of what is free, that "auto" gives to decoded images

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Loading:
    """How images are read.

    image_size: (height, width) in pixels; cache: where decoded images are kept, in "memory", in a
    "file" of `folder`, or "none"; threads, processes: that decode.
    """

    image_size: tuple[int, int]
    cache: str
    folder: Path | None
    threads: int
    processes: int


class Decoder:
    """Images of a split by index array: [B] -> uint8 [B, H, W, 3]."""

    def __init__(self, records: Records, image_size: tuple[int, int]):
        self._records, self._size = records, image_size

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([decode(self._records.encoded(i), self._size) for i in indices])


def decode(encoded: bytes, image_size: tuple[int, int]) -> np.ndarray:
    """An image file as RGB [H, W, 3] uint8, resized by antialiased bicubic interpolation."""
    height, width = image_size
    with Image.open(io.BytesIO(encoded)) as image:
        image = image.convert("RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def fits_in_memory(images: int, image_size: tuple[int, int]) -> bool:
    """Whether that many decoded images leave half of the free memory alone."""
    height, width = image_size
    needed = images * height * width * 3
    return needed <= SHARE_OF_MEMORY * psutil.virtual_memory().available


class Split:
    """Labelled images of one split.

    identities, cameras: [M] as the data set numbers them; paths: M file names.
    labels: [M] identities as 0..C-1 in sorted order; sides: [M] row of the camera in the side
    information embedding, -1 for one that was not in training.
    """

    def __init__(self, name: str, records: Records, sides: np.ndarray, loading: Loading):
        self.identities, self.cameras = records.identities, records.cameras
        self.paths = records.paths
        self.labels = np.unique(self.identities, return_inverse=True)[1].astype(np.int32)
        self.sides = sides
        self._name, self._records, self._loading = name, records, loading

    def batches(self, plan: np.ndarray) -> Iterator[Batch]:
        """Batches of the images at plan [S, B]: image [B, H, W, 3], label [B], camera [B]."""
        pixels = self.pixels
        return iter(self._in_workers(plan, lambda row: {"image": pixels[row], **self._told(row)}))

    def indices(self, plan: np.ndarray) -> Iterator[Batch]:
        """The same with index [B] in the place of the image, for one who has the pixels."""
        return ({"index": row.astype(np.int32), **self._told(row)} for row in plan)

    @cached_property
    def pixels(self) -> np.ndarray | Decoder:
        """Decoded images [M, H, W, 3], by index; where none are kept each is decoded when asked."""
        shape = (len(self.identities), *self._loading.image_size, 3)
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
        """All images in order, in pieces."""
        total, decoder = len(self.identities), Decoder(self._records, self._loading.image_size)
        pieces = np.array_split(np.arange(total), -(-total // DECODED_AT_ONCE))
        with tqdm(total=total, desc=f"decoding {self._name}", unit="image", disable=None) as bar:
            for images in self._in_workers(pieces, decoder.__getitem__):
                yield images
                bar.update(len(images))

    @property
    def _content(self) -> str:
        """A name for the decoded images: SHA-256 of all that they follow from."""
        libraries = PIL.__version__, features.version("jpg")
        told = hashlib.sha256(f"{DECODING} {libraries} {self._loading.image_size}".encode())
        for digest in self._records.digests:
            told.update(digest)
        return told.hexdigest()

    def _told(self, row: np.ndarray) -> Batch:
        return {"label": self.labels[row], "camera": self.sides[row]}

    def _in_workers(self, rows, work) -> grain.DatasetIterator:
        threads = self._loading.threads
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
        dataset = grain.MapDataset.source(rows).map(work).to_iter_dataset(options)
        if self._loading.processes and self._loading.cache == "none":
            workers = grain.MultiprocessingOptions(num_workers=self._loading.processes)
            dataset = dataset.mp_prefetch(workers)
        return dataset


@dataclasses.dataclass(frozen=True)
class Sampling:
    """P x K sampling: identities a batch (P), images of each (K), seed."""

    identities_per_batch: int
    images_per_identity: int
    seed: int


class TrainingSplit(Split):
    """The training split with its sampling plan."""

    def __init__(self, *arguments, sampling: Sampling):
        super().__init__(*arguments)
        self._sampling = sampling

    def plan(self, epoch: int) -> np.ndarray:
        """Indices [S, P * K] of the batches of an epoch, counted from 1."""
        s = self._sampling
        return sampling_plan(
            self.labels, s.identities_per_batch, s.images_per_identity, s.seed, epoch
        )
