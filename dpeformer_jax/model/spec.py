"""All that defines a network's features, and its form on disk.

Compatibility rule: a new field gets the default that reproduces the networks of before. It raises
VERSION, and so does a new family. A checkpoint of any earlier version then loads.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.interfaces import Camera
from dpeformer_jax.model.variants import VARIANTS, patch_grid

VERSION = 3
RENAMED = {"sides": "sie_rows", "side_coefficient": "sie_coefficient"}  # since version 1
# The fields by which the released program's features differ from the paper's.
PRESETS = {
    "paper": {"global_token": "class", "pooling": "image", "head_merge": "image"},
    "released": {"global_token": "first_patch", "pooling": "batch", "head_merge": "batch"},
}


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """Defines a network up to its weights.

    variant: name of the backbone's size; image_size: (height, width) in pixels; stride: pixels
    between neighbouring patches; num_classes: training identities C; family: of the networks that
    model/families.py lists; parts: P; min_patches: smallest number of patches that DPSM keeps
    (K_min).

    global_token: "class" (the paper's) or "first_patch" (the released program's).
    pooling: of the kept patches, from each "image"'s own count, or by way of the smallest count of
        the "batch" as in the released program.
    head_merge: of the blending attention, within each "image", or across the "batch" as in the
        released program.
    selection: "dpsm", or "all" patches, without DPSM; similarity, count: of the patches and K, see
        select_patches; bands: what is pooled to one part, see BANDS in model/selection.py;
        blending: whether FBM blends the parts.
    projection: width of CLIP-ReID's second feature.
    fusion, token_necks: see PASS in model/pass_reid.py.
    sie_rows: cameras that the side information embedding tells apart; 0 switches it off.
    cameras: the camera of each of these rows; () where the checkpoint does not name them.
    sie_coefficient: factor of the embedding.
    dtype: of the computation, "float32" or "bfloat16"; parameters are always float32.
    """

    variant: str
    image_size: tuple[int, int]
    stride: int
    num_classes: int
    family: str = "dpeformer"
    parts: int = 4
    min_patches: int = 24
    global_token: str = "class"
    pooling: str = "image"
    head_merge: str = "image"
    sie_rows: int = 0
    cameras: tuple[Camera, ...] = ()
    sie_coefficient: float = 3.0
    dtype: str = "float32"
    selection: str = "dpsm"
    similarity: str = "product"
    count: str = "released"
    bands: str = "similarity"
    blending: bool = True
    projection: int = 512
    fusion: str = "cat"
    token_necks: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return patch_grid(self.image_size, VARIANTS[self.variant].patch, self.stride)

    @property
    def mixes_batch(self) -> bool:
        """Whether a feature depends on the other images of its batch."""
        return "batch" in (self.pooling, self.head_merge)

    @property
    def unnamed_cameras(self) -> bool:
        """Whether the network embeds cameras whose names its checkpoint does not tell."""
        return bool(self.sie_rows) and not self.cameras

    def rows_of(self, cameras: Sequence[Camera]) -> np.ndarray:
        """Returns the row of the side information embedding [n] int32 of each camera.

        Without such an embedding every row is 0.

        Raises:
            UserError: the network was not trained with one of the cameras, or its checkpoint does
                not name them.
        """
        if not self.sie_rows:
            return np.zeros(len(cameras), np.int32)
        if self.unnamed_cameras:
            raise UserError(
                f"the network embeds {self.sie_rows} cameras without their names: its checkpoint "
                "comes from an earlier version or another program. Score it in the workdir of its "
                "training, where the training set is at hand, or go on with that training"
            )
        places = {camera: row for row, camera in enumerate(self.cameras)}
        unknown = [f"{name} {number}" for name, number in cameras if (name, number) not in places]
        if unknown:
            known = some([f"{name} {number}" for name, number in self.cameras])
            raise UserError(
                f"the network embeds the cameras that it was trained with ({known}), and "
                f"{some(unknown)} are others. Train with config.model.sie = False to use it on "
                "other cameras"
            )
        return np.array([places[camera] for camera in cameras], np.int32)

    def row_named(self, camera: str) -> int:
        """Returns the row of the side information embedding of a camera by its number or name.

        Where a checkpoint does not name its cameras, the row itself is the name. Without such an
        embedding every row is 0.

        Raises:
            UserError: not exactly one camera of the network is named so.
        """
        if not self.sie_rows:
            return 0
        rows = range(self.sie_rows)
        names = [str(row if self.unnamed_cameras else self.cameras[row][1]) for row in rows]
        if names.count(camera) != 1:
            raise UserError(
                f"the network embeds the camera: {camera!r} must be one of those that it was "
                f"trained with ({some(names)})"
            )
        return names.index(camera)

    def with_cameras(self, cameras: tuple[Camera, ...]) -> "NetworkSpec":
        """Names the rows of an embedding whose checkpoint does not.

        Raises:
            UserError: the cameras are not as many as the rows.
        """
        if len(cameras) != self.sie_rows:
            raise UserError(
                f"the network embeds {self.sie_rows} cameras and the training set has "
                f"{len(cameras)}: they are not the ones that it was trained with"
            )
        return dataclasses.replace(self, cameras=cameras)

    def to_json(self) -> dict[str, Any]:
        """Returns the spec as plain JSON values with the version of its form."""
        cameras = [list(camera) for camera in self.cameras]
        lists = {"image_size": list(self.image_size), "cameras": cameras}
        return {"version": VERSION, **dataclasses.asdict(self), **lists}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "NetworkSpec":
        """Reads what `to_json` of this version or of an earlier one gave.

        Raises:
            UserError: a newer version wrote it.
            KeyError, TypeError, ValueError: it is damaged.
        """
        fields = {RENAMED.get(name, name): value for name, value in stored.items()}
        version = fields.pop("version", 1)
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(fields.keys() - known)
        if unknown or version > VERSION:
            told = f"has the field {some(unknown)}" if unknown else "is newer"
            raise UserError(
                f"the network's description (version {version}) {told}, and this program knows "
                f"versions up to {VERSION}; update dpeformer_jax"
            )
        height, width = fields.pop("image_size")
        cameras = tuple((str(name), camera) for name, camera in fields.pop("cameras", ()))
        spec = cls(image_size=(height, width), cameras=cameras, **fields)
        if spec.variant not in VARIANTS:
            raise ValueError(f"there is no variant {spec.variant!r}")
        return spec
