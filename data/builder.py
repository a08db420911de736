"""What all our TFDS builders share: features, preparing without TensorFlow, reading back."""

import abc
import dataclasses
import hashlib
import io
import logging
import multiprocessing
import re
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import filelock
import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from data.errors import DataError
from data.index import Row, kept
from data.listing import Listing
from data.reading import Damage, read_all
from data.source import Source

# TFDS warns of each config that a class does not list, which a folder's never can be.
logging.getLogger("absl").addFilter(
    lambda record: "Using custom data configuration" not in record.getMessage()
)

SPLITS = ("train", "query", "gallery")
SHARD = 1024  # images of one file of a prepared split


class Counts(NamedTuple):
    """Published counts of one split; cameras None: not published; not certain: only warned of."""

    identities: int
    images: int
    cameras: int | None = None
    certain: bool = True


class Item(Protocol):
    """One image to store."""

    name: str
    identity: int
    camera: int


class ReidBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Base of our builders. A subclass lists its images and reads them, in order.

    VARIANTS: of the data set, the first is the default. PUBLISHED: counts by variant and split.
    ONE_NUMBERING: whether an identity number means the same person in training and test.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS: tuple[str, ...] = ("",)
    PUBLISHED: dict[str, dict[str, Counts]] = {}
    ONE_NUMBERING = True

    @classmethod
    @abc.abstractmethod
    def configure(cls, source: Source) -> tfds.core.BuilderConfig:
        """The builder's config for a data set.

        Raises:
            DataError: the source cannot be used.
        """

    @staticmethod
    @abc.abstractmethod
    def listing(config: Any) -> dict[str, Sequence[Item]]:
        """The images of each split of a config that `configure` gave, in order."""

    @abc.abstractmethod
    def read(self, items: Sequence[Any]) -> Iterator[bytes | Damage]:
        """The image files of some items of `listing`, in order."""

    @classmethod
    def variant_of(cls, source: Source) -> str:
        """The variant that is asked for.

        Raises:
            DataError: there is no such variant.
        """
        variant = source.variant or cls.VARIANTS[0]
        if variant not in cls.VARIANTS:
            known = ", ".join(repr(name) for name in cls.VARIANTS if name) or "none, so ''"
            raise DataError(f"{cls.name} has no variant {variant!r}; it has {known}")
        return variant

    @classmethod
    def title(cls, source: Source) -> str:
        """The name under which tables and eval.json know the data set."""
        variant = cls.variant_of(source)
        return f"{cls.name}/{variant}" if variant else cls.name

    def _info(self) -> tfds.core.DatasetInfo:
        """`metadata["skipped"]` says of each file left out what is wrong with it."""
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "identity": np.int64,
                    "camera": np.int64,
                    "path": tfds.features.Text(),
                }
            ),
            metadata=tfds.core.MetadataDict(skipped={}),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list]:
        listing = self.listing(self.builder_config)
        total = sum(map(len, listing.values()))
        bar = tqdm(total=total, desc=f"preparing {self.name}", unit="image", disable=None)
        return {
            split: [
                partial(self._shard, items[start : start + SHARD], bar)
                for start in range(0, len(items), SHARD)
            ]
            for split, items in listing.items()
        }

    def _log_download_bytes(self) -> None:
        """TFDS would say that it downloads; nothing is."""

    def _log_download_done(self) -> None:
        """See `_log_download_bytes`."""

    def _shard(self, items: Sequence[Item], bar: tqdm) -> Iterator[tuple[str, dict[str, Any]]]:
        for item, encoded in zip(items, self.read(items), strict=True):
            bar.update()
            if isinstance(encoded, Damage):
                self.info.metadata["skipped"][item.name] = encoded.problem
                continue
            yield (
                item.name,
                {
                    "image": io.BytesIO(encoded),  # stored as it is
                    "identity": item.identity,
                    "camera": item.camera,
                    "path": item.name,
                },
            )


@dataclasses.dataclass(kw_only=True)
class FolderConfig(tfds.core.BuilderConfig):
    """A data set in a folder; its name changes when a file does."""

    splits: Listing = dataclasses.field(repr=False)  # which TFDS would format at every start


class FolderBuilder(ReidBuilder, skip_registration=True):
    """Base of the builders that read the user's own copy. Files are stored as they are."""

    @classmethod
    @abc.abstractmethod
    def scan(cls, source: Source) -> Listing:
        """The image files of each split and what the layout says of them.

        Raises:
            DataError: a folder or file that is not as the layout has it.
        """

    @classmethod
    def configure(cls, source: Source) -> FolderConfig:
        splits = cls.scan(source)
        digest = hashlib.sha256(f"{cls.title(source)}\n".encode())
        for split, entries in splits.items():
            for entry in entries:
                try:
                    status = entry.path.stat()
                except OSError as error:
                    raise DataError(
                        f"{entry.path} cannot be read: {error.strerror}. If it is a symbolic link, "
                        "does it lead to a file? Mend or remove it"
                    ) from error
                digest.update(f"{split}{entry}{status.st_size}{status.st_mtime_ns}\n".encode())
        name = re.sub(r"\W", "_", source.folder.stem) + "-" + digest.hexdigest()[:12]
        return FolderConfig(name=name, splits=splits)

    @staticmethod
    def listing(config: FolderConfig) -> Listing:
        return config.splits

    def read(self, items: Sequence[Any]) -> Iterator[bytes | Damage]:
        return read_all([entry.path for entry in items])


def prepared_folder(data_dir: str) -> Path:
    """Where prepared data sets lie; data_dir "" is TFDS's own choice (~/tensorflow_datasets, or the
    variable TFDS_DATA_DIR).
    """
    return Path(data_dir or tfds.core.constants.DATA_DIR).expanduser().absolute()


def prepare(
    builder_class: type[ReidBuilder], data_dir: str, config: tfds.core.BuilderConfig | str
) -> ReidBuilder:
    """The builder with its data on disk, prepared now if it was not yet.

    A preparation that was killed leaves nothing that counts: the next one starts anew. Of two at
    the same time one waits for the other.

    Args:
        data_dir: see `prepared_folder`.

    Raises:
        DataError: the folder cannot be written.
    """
    folder = prepared_folder(data_dir)
    arguments = {"data_dir": str(folder), "config": config, "file_format": "array_record"}
    builder = builder_class(**arguments)
    if builder.data_path.exists():
        return builder
    try:
        _prepare_alone(builder, Path(builder.data_path))
    except OSError as error:
        raise DataError(
            f"{builder.data_path} cannot be prepared ({error}); choose another folder by "
            "config.data.data_dir"
        ) from error
    return builder_class(**arguments)


def _prepare_alone(builder: ReidBuilder, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.parent / "preparing.lock")
    try:
        held = lock.acquire(blocking=False)
    except filelock.Timeout:
        if multiprocessing.parent_process() is not None:
            raise DataError(  # waiting for the parent, which waits for us, would never end
                f"another process prepares {path}; if it is your own script, guard its top level "
                "by if __name__ == '__main__'"
            ) from None
        print(f"waiting for another process that prepares {path}", flush=True)
        held = lock.acquire()
    with held:
        for leftover in path.parent.glob(f"incomplete.*_{path.name}"):
            shutil.rmtree(leftover)  # of a killed preparation, for the lock is ours
        if not path.exists():
            print(f"preparing {builder.info.full_name} in {path}", flush=True)
            builder.download_and_prepare()


class Records:
    """One prepared split: encoded images by index, and who they show.

    identities, cameras: [M] int64; paths: M file names; digests: M SHA-256 of the image files.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        undecoded = {"image": tfds.decode.SkipDecoding()}
        self._source = builder.as_data_source(split, decoders=undecoded)
        folder = Path(builder.data_path)
        files = list(folder.glob(f"*-{split}.array_record*"))
        rows = kept(folder / f"{split}.index.json", files, self._rows)
        self.identities = np.array([row.identity for row in rows])
        self.cameras = np.array([row.camera for row in rows])
        self.paths = [row.path for row in rows]
        self.digests = [bytes.fromhex(row.digest) for row in rows]

    def __len__(self) -> int:
        return len(self.identities)

    def encoded(self, index: int) -> bytes:
        """The image file."""
        return self._source[int(index)]["image"]

    def _rows(self) -> Iterator[Row]:
        for record in self._source:
            digest = hashlib.sha256(record["image"]).hexdigest()
            identity, camera = int(record["identity"]), int(record["camera"])
            yield Row(identity, camera, record["path"].decode(), digest)
