"""Reads prepared splits back: encoded images and their labels."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from data.label_cache import Row, cached_rows


class Records:
    """One prepared split: encoded images and their labels.

    identities, cameras: [M] int64; paths: M file names; digests: SHA-256 of the M image files.
    """

    def __init__(
        self, builder: tfds.core.DatasetBuilder, split: str, without: Collection[int] = ()
    ):
        """Opens the split without the images of some identities."""
        undecoded = {"image": tfds.decode.SkipDecoding()}
        self._source = builder.as_data_source(split, decoders=undecoded)
        folder = Path(builder.data_path)
        files = list(folder.glob(f"*-{split}.array_record*"))
        rows = cached_rows(folder / f"{split}.index.json", files, self._rows)
        self._places = [place for place, row in enumerate(rows) if row.identity not in without]
        rows = [rows[place] for place in self._places]
        self.identities = np.array([row.identity for row in rows])
        self.cameras = np.array([row.camera for row in rows])
        self.paths = [row.path for row in rows]
        self.digests = [bytes.fromhex(row.digest) for row in rows]

    def __len__(self) -> int:
        return len(self.identities)

    def encoded(self, index: int) -> bytes:
        """Returns an image file."""
        return self._source[self._places[index]]["image"]

    def _rows(self) -> Iterator[Row]:
        for record in self._source:
            digest = hashlib.sha256(record["image"]).hexdigest()
            identity, camera = int(record["identity"]), int(record["camera"])
            yield Row(identity, camera, record["path"].decode(), digest)


class Chosen:
    """The images at some places [m] of a split: see `Records`."""

    def __init__(self, records: Records, places: np.ndarray):
        self._records, self._places = records, places
        self.identities, self.cameras = records.identities[places], records.cameras[places]
        self.paths = [records.paths[place] for place in places]
        self.digests = [records.digests[place] for place in places]

    def __len__(self) -> int:
        return len(self.identities)

    def encoded(self, index: int) -> bytes:
        """Returns an image file."""
        return self._records.encoded(self._places[index])


def cameras_of(records: Records) -> dict[int, set[int]]:
    """Returns the cameras that have seen each identity; the empty set for an unknown identity."""
    cameras: dict[int, set[int]] = defaultdict(set)
    for identity, camera in zip(records.identities, records.cameras, strict=True):
        cameras[int(identity)].add(int(camera))
    return cameras
