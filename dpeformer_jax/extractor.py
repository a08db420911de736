"""A trained checkpoint as a function from pictures to features."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.interfaces import Images
from dpeformer_jax.base.pictures import PictureError, decode
from dpeformer_jax.checkpoint.weights import load_weights
from dpeformer_jax.features import FeaturePass, Features
from dpeformer_jax.model.families import build_network
from dpeformer_jax.model.spec import PRESETS, NetworkSpec
from dpeformer_jax.runtime.devices import data_mesh, replicated

Picture = str | Path | np.ndarray | Image.Image


class Extractor:
    """Computes features of any number of pictures, each on its own whatever else is in its batch.

    Example:
        extractor = Extractor.load("runs/quickstart")
        features = extractor(["a.jpg", "b.jpg"])["holistic"]

    DPEFormer gives {"holistic": [B, P * D] float32, "parts": [B, P * D] float32, "selected": [B, N]
    bool, the patches in raster order that DPSM kept}. Features are not scaled to length 1.

    Attributes:
        spec: defines the network: variant, image_size (height, width), cameras and so on.
    """

    def __init__(self, variables: dict[str, Any], spec: NetworkSpec, batch_size: int = 8):
        """Takes the weights ("params" and "batch_stats") of the network that the spec defines."""
        if batch_size < 1:
            raise UserError(f"batch_size = {batch_size} must be at least 1")
        self.spec = spec
        mesh = data_mesh(jax.local_devices())
        self._variables = jax.device_put(variables, replicated(mesh))
        self._pass = FeaturePass(build_network(spec), mesh, batch_size, alone=True)

    @classmethod
    def load(
        cls, checkpoint: str | Path, *, preset: str | None = None, batch_size: int = 8
    ) -> "Extractor":
        """Reads a checkpoint.

        Args:
            checkpoint: workdir of a training (its newest checkpoint), one checkpoint of it, or
                what convert_weights.py wrote.
            preset: "paper" or "released" (see docs/differences.md); None as the checkpoint says.
            batch_size: images computed at once.

        Raises:
            UserError: there is no such checkpoint, it is damaged, or it holds no whole network.
        """
        if preset is not None and preset not in PRESETS:
            raise UserError(f"preset = {preset!r} is not one of {', '.join(map(repr, PRESETS))}")
        weights = load_weights(Path(checkpoint))
        weights.refuse_incomplete()
        spec = dataclasses.replace(weights.spec, **PRESETS.get(preset, {}))
        return cls(weights.variables, spec, batch_size)

    def features(self, images: np.ndarray, camera_rows: Sequence[int] | None = None) -> Features:
        """Returns the features of normalised pictures.

        Args:
            images: [B, H, W, 3] float RGB in -1..1, of the checkpoint's image size.
            camera_rows: [B] row of the side information embedding, a place in `spec.cameras`.
                Needed where the network was trained with one, else ignored.

        Raises:
            ValueError: images of another size or type; camera rows missing or out of range.
        """
        images = np.asarray(images)
        expected = (*self.spec.image_size, 3)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(f"images have shape {images.shape}, expected (B, *{expected})")
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(
                f"images are {images.dtype}; features() takes floats in -1..1, and calling the "
                "extractor itself takes uint8"
            )
        if images.size and not np.abs(images).max() <= 1.001:  # refuses NaN too
            raise ValueError("images must lie in -1..1: (pixel / 255 - 0.5) / 0.5")
        images = images.astype(np.float32, copy=False)
        return self._of(_Loaded(len(images), images.__getitem__), camera_rows)

    def __call__(
        self, images: Sequence[Picture], camera_rows: Sequence[int] | None = None
    ) -> Features:
        """Returns the features of files, PIL images or uint8 arrays of any size.

        Pictures are decoded and resized as in training: see base/pictures.py.

        Raises:
            ValueError: names the file or the array that is no picture. Camera rows: see features().
        """
        if isinstance(images, str | Path | Image.Image) or getattr(images, "ndim", 4) in (2, 3):
            raise ValueError("expected a list of pictures, for one picture too")
        pictures, size = list(images), self.spec.image_size

        def load(row: np.ndarray) -> np.ndarray:
            different, places = np.unique(row, return_inverse=True)  # padding repeats the last one
            pixels = [_decoded(pictures[index], size) for index in different]
            return np.array(pixels, np.uint8).reshape(-1, *size, 3)[places]

        return self._of(_Loaded(len(pictures), load), camera_rows)

    def _of(self, images: Images, camera_rows: Sequence[int] | None) -> Features:
        return self._pass(self._variables, images, self._checked(camera_rows, len(images)))

    def _checked(self, camera_rows: Sequence[int] | None, count: int) -> np.ndarray:
        known = self.spec.sie_rows
        if not known:
            return np.zeros(count, np.int32)
        if camera_rows is None:
            raise ValueError(
                "the network embeds the camera: camera_rows must give, for each image, the place "
                f"0..{known - 1} of its camera among those of the training set (spec.cameras)"
            )
        rows = np.asarray(camera_rows)
        whole = np.issubdtype(rows.dtype, np.integer) or not rows.size
        if rows.shape != (count,) or not whole or not ((rows >= 0) & (rows < known)).all():
            raise ValueError(f"camera_rows must be {count} whole numbers in 0..{known - 1}")
        return rows.astype(np.int32)


class _Loaded:
    """So many pictures, of which `load(row)` gives those at the indices [B]."""

    def __init__(self, count: int, load: Callable[[np.ndarray], np.ndarray]):
        self._count, self._load = count, load

    def __len__(self) -> int:
        return self._count

    def batches(self, plan: np.ndarray) -> Iterator[np.ndarray]:
        return map(self._load, plan)


def _decoded(picture: Picture, size: tuple[int, int]) -> np.ndarray:
    try:
        return decode(picture, size)
    except PictureError as error:
        if isinstance(picture, str | Path):
            raise ValueError(f"{picture} cannot be read as a picture: {error}") from error
        raise
