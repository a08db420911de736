"""Base of all TFDS builders: stores image files without TensorFlow."""

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

from data.dataset_spec import DatasetSpec
from data.labels import NO_NAMES, Names
from data.listing import MARKET_FOLDERS, Listing, market_layout
from data.reading import Damage, read_all
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.progress import Bar, progress

log = logging.getLogger(__name__)
# TFDS warns of each config that a class does not list; the config of a folder never is.
NEEDLESS = "Using custom data configuration"
logging.getLogger("absl").addFilter(lambda record: NEEDLESS not in record.getMessage())

SPLITS = ("train", "query", "gallery")
SHARD = 1024  # images a record file


class Counts(NamedTuple):
    """Counts of one split; cameras: None where not known; certain: whether others are an error."""

    identities: int
    images: int
    cameras: int | None = None
    certain: bool = True


class Item(Protocol):
    """An image to store."""

    name: str
    identity: int
    camera: int


@dataclasses.dataclass(kw_only=True)
class ReidConfig(tfds.core.BuilderConfig):
    """Config of a data set.

    names: the texts that numbers of identities and cameras stand for; rule: one sentence on how the
    builder divided the pictures, "" where the data set itself says it; cameras_known: whether the
    data set tells the cameras; only_camera: the one that all divided pictures are of, which counts
    as unknown, else "".
    """

    names: Names = dataclasses.field(default=NO_NAMES, repr=False)
    rule: str = dataclasses.field(default="", repr=False)
    cameras_known: bool = dataclasses.field(default=True, repr=False)
    only_camera: str = dataclasses.field(default="", repr=False)


class ReidBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Base of all builders. A subclass lists its images and reads them, in order.

    VARIANTS: variants of the data set; the first is the default.
    PUBLISHED: published counts by variant and split.
    ONE_NUMBERING: whether an identity number means the same person in training and test.
    """

    VERSION = tfds.core.Version("1.0.0")
    VARIANTS: tuple[str, ...] = ("",)
    PUBLISHED: dict[str, dict[str, Counts]] = {}
    ONE_NUMBERING = True

    @classmethod
    @abc.abstractmethod
    def configure(cls, spec: DatasetSpec) -> ReidConfig:
        """Returns the config for a data set; raises UserError where the set cannot be used."""

    @staticmethod
    @abc.abstractmethod
    def listing(config: Any) -> dict[str, Sequence[Item]]:
        """Lists the images of each split of a config from `configure`, in order."""

    @abc.abstractmethod
    def read(self, items: Sequence[Any]) -> Iterator[bytes | Damage]:
        """Yields the image files of some items of `listing`, in order."""

    @classmethod
    def variant_of(cls, spec: DatasetSpec) -> str:
        """Returns the variant of a data set; raises UserError where there is no such variant."""
        variant = spec.variant or cls.VARIANTS[0]
        if variant not in cls.VARIANTS:
            known = ", ".join(repr(name) for name in cls.VARIANTS if name) or "none, so ''"
            raise UserError(f"{cls.name} has no variant {variant!r}; it has {known}")
        return variant

    @classmethod
    def title(cls, spec: DatasetSpec) -> str:
        """Returns the name of the data set in tables and eval.json."""
        variant = cls.variant_of(spec)
        return f"{cls.name}/{variant}" if variant else cls.name

    @classmethod
    def training_folder(cls, spec: DatasetSpec) -> Path | None:
        """Returns the folder that training images would lie in; None where there is none."""

    def _info(self) -> tfds.core.DatasetInfo:
        """Describes the records; the metadata are what a prepared copy keeps besides.

        That is the names of identities and cameras, where there are, and "skipped": the problem of
        each file left out.
        """
        names = self.builder_config.names.as_metadata()
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "identity": np.int64,
            "camera": np.int64,
            "path": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(skipped={}, **names),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list]:
        listing = self.listing(self.builder_config)
        total = sum(map(len, listing.values()))
        bar = progress(title=f"preparing {self.name}", unit="image", total=total)
        return {
            split: [
                partial(self._shard, items[start : start + SHARD], bar)
                for start in range(0, len(items), SHARD)
            ]
            for split, items in listing.items()
        }

    def _log_download_bytes(self) -> None:
        """Says nothing: TFDS would claim a download."""

    _log_download_done = _log_download_bytes

    def _shard(self, items: Sequence[Item], bar: Bar) -> Iterator[tuple[str, dict[str, Any]]]:
        for item, encoded in zip(items, self.read(items), strict=True):
            bar.update()
            if isinstance(encoded, Damage):
                self.info.metadata["skipped"][item.name] = encoded.problem
                continue
            image = io.BytesIO(encoded)  # so that TFDS stores the file as it is
            labels = {"identity": item.identity, "camera": item.camera, "path": item.name}
            yield item.name, {"image": image, **labels}


@dataclasses.dataclass(kw_only=True)
class FolderConfig(ReidConfig):
    """Config of a data set in a folder; its name changes when a file changes."""

    splits: Listing = dataclasses.field(repr=False)  # TFDS would format it at every start


class FolderBuilder(ReidBuilder, skip_registration=True):
    """Base of the builders that read the user's own copy."""

    @classmethod
    @abc.abstractmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        """Lists the files of each split; raises UserError where one does not fit the layout."""

    @classmethod
    def configure(cls, spec: DatasetSpec) -> FolderConfig:
        return cls.config_of(spec, cls.scan(spec))

    @classmethod
    def config_of(
        cls, spec: DatasetSpec, splits: Listing, names: Names = NO_NAMES, **more: Any
    ) -> FolderConfig:
        """Returns the config of some splits; names, more: fields of `ReidConfig`."""
        digest = hashlib.sha256(f"{cls.title(spec)}\n".encode())
        for split, entries in splits.items():
            for entry in entries:
                try:
                    status = entry.path.stat()
                except OSError as error:
                    raise UserError(
                        f"{entry.path} cannot be read: {error.strerror}. Mend or remove it; a "
                        "symbolic link must lead to a file"
                    ) from error
                digest.update(f"{split}{entry}{status.st_size}{status.st_mtime_ns}\n".encode())
        if any(names):
            digest.update(repr(names).encode())
        name = re.sub(r"\W", "_", spec.folder.stem) + "-" + digest.hexdigest()[:12]
        return FolderConfig(name=name, splits=splits, names=names, **more)

    @staticmethod
    def listing(config: FolderConfig) -> Listing:
        return config.splits

    def read(self, items: Sequence[Any]) -> Iterator[bytes | Damage]:
        return read_all([entry.path for entry in items])


class MarketBuilder(FolderBuilder, skip_registration=True):
    """Base of the builders of data sets in Market-1501's layout.

    PATTERN: regular expression of base names, with groups for identity and camera.
    CAMERAS: the cameras of the data set.
    """

    PATTERN = r"(\d{4})_c(\d)"
    CAMERAS: range

    @classmethod
    def market_folder(cls, spec: DatasetSpec) -> Path:
        """Returns the folder that holds the folders of the splits."""
        return spec.folder

    @classmethod
    def training_folder(cls, spec: DatasetSpec) -> Path:
        return cls.market_folder(spec) / MARKET_FOLDERS["train"]

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        return market_layout(cls.market_folder(spec), cls.PATTERN, cls.CAMERAS)


def prepared_folder(data_dir: str) -> Path:
    """Returns the folder of the prepared data sets.

    If data_dir is "", TFDS chooses: the variable TFDS_DATA_DIR, or ~/tensorflow_datasets.
    """
    return Path(data_dir or tfds.core.constants.DATA_DIR).expanduser().absolute()


def prepare(
    builder_class: type[ReidBuilder], data_dir: str, config: tfds.core.BuilderConfig | str
) -> ReidBuilder:
    """Returns the builder with its data on disk; prepares the data if necessary.

    After a killed preparation the next one starts anew. Of two at a time one waits for the other.
    Raises UserError where the folder of `prepared_folder` cannot be written.
    """
    folder = str(prepared_folder(data_dir))
    arguments = {"data_dir": folder, "config": config, "file_format": "array_record"}
    builder = builder_class(**arguments)
    path = Path(builder.data_path)
    if path.exists():
        return builder
    try:
        _prepare_alone(builder, path)
    except OSError as error:
        told = f"{path} cannot be prepared ({error}); choose another config.data.data_dir"
        raise UserError(told) from error
    return builder_class(**arguments)


def _prepare_alone(builder: ReidBuilder, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.parent / "preparing.lock")
    try:
        held = lock.acquire(blocking=False)
    except filelock.Timeout:
        if multiprocessing.parent_process() is not None:
            raise UserError(  # the parent waits for this process: waiting for it would never end
                f"another process prepares {path}; if it is your own script, guard its top level "
                "by if __name__ == '__main__'"
            ) from None
        log.info("waiting for another process that prepares %s", path)
        held = lock.acquire()
    with held:
        for leftover in path.parent.glob(f"incomplete.*_{path.name}"):
            shutil.rmtree(leftover)  # of a killed preparation: this process holds the lock
        if not path.exists():
            log.info("preparing %s in %s", builder.info.full_name, path)
            builder.download_and_prepare()
