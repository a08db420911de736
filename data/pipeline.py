"""From prepared records to uint8 batches: decoding, the memory cache, order."""

import dataclasses
import io
from collections.abc import Iterator
from functools import cached_property

import grain.python as grain
import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

from data.builder import Records
from data.sampling import sampling_plan

DECODED_AT_ONCE = 32  # images of one piece of work while the cache is filled
SHARE_OF_MEMORY = 0.5  # of what is free, that "auto" gives to decoded images

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Loading:
    """How images are read: size in pixels (height, width), cache or not, workers."""

    image_size: tuple[int, int]
    cache: bool
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
        self._name, self._loading = name, loading
        self._decoder = Decoder(records, loading.image_size)

    def batches(self, plan: np.ndarray) -> Iterator[Batch]:
        """Batches of the images at plan [S, B]: image [B, H, W, 3], label [B], camera [B]."""
        pixels = self._pixels

        def batch(row: np.ndarray) -> Batch:
            return {"image": pixels[row], "label": self.labels[row], "camera": self.sides[row]}

        return iter(self._in_workers(plan, batch))

    @cached_property
    def _pixels(self) -> np.ndarray | Decoder:
        """Decoded images, in memory if they are to be kept there."""
        if not self._loading.cache:
            return self._decoder
        total = len(self.identities)
        pieces = np.array_split(np.arange(total), -(-total // DECODED_AT_ONCE))
        pixels = np.empty((total, *self._loading.image_size, 3), np.uint8)
        with tqdm(total=total, desc=f"decoding {self._name}", unit="image", disable=None) as bar:
            decoded = self._in_workers(pieces, self._decoder.__getitem__)
            for piece, images in zip(pieces, decoded, strict=True):
                pixels[piece] = images
                bar.update(len(piece))
        return pixels

    def _in_workers(self, rows, work) -> grain.DatasetIterator:
        threads = self._loading.threads
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
        dataset = grain.MapDataset.source(rows).map(work).to_iter_dataset(options)
        if self._loading.processes and not self._loading.cache:
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
