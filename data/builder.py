"""What all our TFDS builders share: features, storage without TensorFlow, reading back."""

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data.errors import DataError

# TFDS warns of each config that a class does not list, which a folder's never can be.
logging.getLogger("absl").addFilter(
    lambda record: "Using custom data configuration" not in record.getMessage()
)

SPLITS = ("train", "query", "gallery")


def reid_info(builder: tfds.core.DatasetBuilder, description: str) -> tfds.core.DatasetInfo:
    """Features of a re-ID data set; records keep the order in which they are generated.

    `metadata["skipped"]` names the files left out because they do not decode.
    """
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "identity": np.int64,
                "camera": np.int64,
                "path": tfds.features.Text(),
            }
        ),
        metadata=tfds.core.MetadataDict(skipped=[]),
        disable_shuffling=True,
    )


def reid_record(encoded: bytes, identity: int, camera: int, path: str) -> dict[str, Any]:
    """One example of `reid_info`'s features; the image file is stored as it is."""
    return {"image": io.BytesIO(encoded), "identity": identity, "camera": camera, "path": path}


def prepare(builder_class: type, data_dir: str, **arguments: Any) -> tfds.core.DatasetBuilder:
    """The builder with its data on disk, prepared now if it was not yet.

    Args:
        data_dir: folder of prepared data sets; "" is TFDS's own choice (~/tensorflow_datasets or
            the variable TFDS_DATA_DIR).

    Raises:
        DataError: the folder cannot be written.
    """
    folder = str(Path(data_dir).expanduser().absolute()) if data_dir else None
    builder = builder_class(data_dir=folder, file_format="array_record", **arguments)
    if not builder.data_path.exists():
        print(f"preparing {builder.info.full_name} in {builder.data_path}", flush=True)
        if not sys.stderr.isatty():
            tfds.disable_progress_bar()
        try:
            builder.download_and_prepare()
        except OSError as error:
            # Another process that prepared the same at the same time was first.
            if not builder.data_path.exists():
                raise DataError(
                    f"{builder.data_path} cannot be prepared ({error}); choose another folder by "
                    "config.data.data_dir"
                ) from error
            builder = builder_class(data_dir=folder, file_format="array_record", **arguments)
    return builder


class Records:
    """One prepared split: encoded images by index, and who they show.

    identities, cameras: [M] int64; paths: M file names.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str):
        undecoded = {"image": tfds.decode.SkipDecoding()}
        self._source = builder.as_data_source(split, decoders=undecoded)
        rows = list(self._labels(self._source))
        self.identities = np.array([row[0] for row in rows], np.int64)
        self.cameras = np.array([row[1] for row in rows], np.int64)
        self.paths = [row[2] for row in rows]

    def __len__(self) -> int:
        return len(self.identities)

    def encoded(self, index: int) -> bytes:
        """The image file."""
        return self._source[int(index)]["image"]

    @staticmethod
    def _labels(source: Any) -> Iterator[tuple[int, int, str]]:
        for record in source:
            yield record["identity"], record["camera"], record["path"].decode()
