"""A whole data set, ready for training and testing, from the `data` fields of a config."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from data.builder import SPLITS, Records, prepare
from data.errors import DataError
from data.pipeline import Loading, Sampling, Split, TrainingSplit, fits_in_memory
from data.reid_folder import ReidFolder, folder_config
from data.rendered_reid import RenderedReid

NAMED_AT_MOST = 10  # files or identities that a message lists


class Dataset(NamedTuple):
    """Splits of one data set.

    num_classes, num_cameras: of the training split; skipped: files that do not decode.
    """

    name: str
    train: TrainingSplit
    query: Split
    gallery: Split
    num_classes: int
    num_cameras: int
    skipped: list[str]

    def summary(self) -> str:
        """Counts of each split, and the files left out."""
        lines = [
            f"{self.name} {name}: {len(np.unique(split.identities))} identities, "
            f"{len(split.identities)} images, {len(np.unique(split.cameras))} cameras"
            for name, split in zip(SPLITS, (self.train, self.query, self.gallery), strict=True)
        ]
        if self.skipped:
            lines.append(f"left out {len(self.skipped)} files that do not decode:")
            lines += [f"  {path}" for path in self.skipped]
        return "\n".join(lines)


def load_dataset(fields: ConfigDict, sampling: Sampling) -> Dataset:
    """Prepares the data set if needed and opens its splits.

    Args:
        fields: `config.data`.
        sampling: of the training split.

    Raises:
        DataError: files that are missing or do not decode, or splits that cannot be used.
    """
    name, builder = _open(fields)
    skipped = sorted(set(builder.info.metadata["skipped"]))
    if skipped and fields.on_bad_image == "error":
        raise DataError(
            f"{len(skipped)} images of {name} do not decode: {_some(skipped)}. Mend or remove "
            "them, or leave them out by config.data.on_bad_image = 'skip'"
        )
    records = {split: Records(builder, split) for split in SPLITS}
    check_training(records["train"].identities, sampling.identities_per_batch)
    check_test(records["query"], records["gallery"])
    cameras = np.unique(records["train"].cameras)
    loading = _loading(fields, sum(map(len, records.values())))
    splits = {
        split: Split(split, records[split], cameras, loading) for split in ("query", "gallery")
    }
    train = TrainingSplit("train", records["train"], cameras, loading, sampling=sampling)
    return Dataset(
        name=name,
        train=train,
        **splits,
        num_classes=int(train.labels.max()) + 1,
        num_cameras=len(cameras),
        skipped=skipped,
    )


def check_training(identities: np.ndarray, identities_per_batch: int) -> None:
    """Raises DataError where P x K batches cannot be made of identities [M]."""
    numbers, counts = np.unique(identities, return_counts=True)
    lonely = numbers[counts < 2]
    if len(lonely):
        raise DataError(
            f"{len(lonely)} training identities have fewer than two images: {_some(lonely)}. "
            "Add images of them or remove them"
        )
    if len(numbers) < identities_per_batch:
        raise DataError(
            f"the training split has {len(numbers)} identities, fewer than the "
            f"{identities_per_batch} of a batch; lower config.train.batch_size or raise "
            "config.train.images_per_identity"
        )


def check_test(query: Records, gallery: Records) -> None:
    """Raises DataError where no query has an image of its identity from another camera."""
    if not np.intersect1d(query.identities, gallery.identities).size:
        raise DataError(
            f"the query split (identities {_some(np.unique(query.identities))}) shares no identity "
            f"with the gallery ({_some(np.unique(gallery.identities))}); are they of one data set, "
            "and does config.data.pattern read the identity?"
        )
    cameras = defaultdict(set)
    for identity, camera in zip(gallery.identities, gallery.cameras, strict=True):
        cameras[identity].add(camera)
    queries = zip(query.identities, query.cameras, strict=True)
    if not any(cameras[identity] - {camera} for identity, camera in queries):
        raise DataError(
            f"none of the {len(query)} queries has an image of its identity from another camera "
            f"in the gallery (cameras {_some(np.unique(gallery.cameras))}), and pictures from its "
            "own do not count; does config.data.pattern read the camera?"
        )


def _open(fields: ConfigDict) -> tuple[str, tfds.core.DatasetBuilder]:
    if fields.builder == "reid_folder":
        config = folder_config(fields.root, fields.pattern)
        name = config.name.rsplit("-", 1)[0]
        return name, prepare(ReidFolder, fields.data_dir, config=config)
    variants = sorted(RenderedReid.builder_configs)
    if fields.variant not in variants:
        raise DataError(
            f"config.data.variant = {fields.variant!r} is not one of {', '.join(variants)}"
        )
    name = f"rendered_reid/{fields.variant}"
    return name, prepare(RenderedReid, fields.data_dir, config=fields.variant)


def _loading(fields: ConfigDict, images: int) -> Loading:
    size = tuple(fields.image_size)
    cache = fields.cache == "memory" or (fields.cache == "auto" and fits_in_memory(images, size))
    return Loading(size, cache, fields.loader_threads, fields.loader_processes)


def _some(values) -> str:
    listed = ", ".join(map(str, values[:NAMED_AT_MOST]))
    rest = len(values) - NAMED_AT_MOST
    return listed + (f" and {rest} more" if rest > 0 else "")
