"""What the data room hands to the package: labelled images, test sets, cut-outs."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

Camera = tuple[str, int | str]  # the data set, and the number or name of the camera in it


class Images(Protocol):
    """Pictures that a network can be applied to; `len` counts them."""

    def __len__(self) -> int: ...

    def batches(self, plan: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the pictures at the indices [S, B], a row at a time.

        They are [B, H, W, 3], uint8 or normalised float32.
        """


class LabelledImages(Images, Protocol):
    """Pictures of people.

    paths: [M] file names, each once; digests: SHA-256 of each file.
    identities, cameras: [M] as the data set numbers them; identity_names: [M] as it names them.
    camera_names: the different cameras; camera_rows: [M] each image's place among them.
    """

    paths: Sequence[str]
    digests: Sequence[bytes]
    identities: np.ndarray
    cameras: np.ndarray
    identity_names: Sequence[int | str]
    camera_names: tuple[Camera, ...]
    camera_rows: np.ndarray

    def encoded(self, index: int) -> bytes:
        """Returns an image file as it is stored, for pictures that people look at."""


class TrainingImages(LabelledImages, Protocol):
    """Pictures to train on.

    labels: [M] identities as 0..C-1; pixels: all pictures, uint8 [M, H, W, 3].
    """

    labels: np.ndarray

    @property
    def pixels(self) -> np.ndarray: ...

    def plan(self, epoch: int) -> np.ndarray:
        """Returns the indices [S, B] of an epoch's batches, epochs counted from 1."""


@dataclasses.dataclass(frozen=True)
class TestSet:
    """Query and gallery under their name in eval.json; provenance: what it says of their source."""

    name: str
    query: LabelledImages
    gallery: LabelledImages
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class OccluderBank(NamedTuple):
    """Cut-outs of one size, in host memory or on the device.

    images: [M, h, w, 4] uint8 RGBA, each stretched to the common size; tall: [M] bool, whether the
    cut-out's own height / width is above 2: it stands beside the person, any other lies across.
    """

    images: np.ndarray
    tall: np.ndarray
