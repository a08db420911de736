"""A trained checkpoint as a function from pictures to features."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from dpeformer_jax.errors import ConfigError
from dpeformer_jax.model.description import PRESETS, Description, build_model
from dpeformer_jax.model.pixels import from_uint8, normalize
from dpeformer_jax.weights import load_weights

Features = dict[str, np.ndarray]


class Extractor:
    """Features of any number of pictures, each on its own whatever else is in its batch.

    Example:
        extractor = Extractor.load("runs/quickstart")
        features = extractor(["a.jpg", "b.jpg"])["holistic"]

    Results are {"holistic": [B, P * D] float32, "parts": [B, P * D] float32, "selected": [B, N]
    bool, the patches in raster order that DPSM kept}. Features are not normalised to length 1.

    Attributes:
        model: the network in words: variant, image_size (height, width) and so on.
    """

    def __init__(self, variables: dict[str, Any], model: Description, batch_size: int = 8):
        """variables: "params" and "batch_stats" of the network that `model` describes."""
        if batch_size < 1:
            raise ConfigError(f"batch_size = {batch_size} must be at least 1")
        self.model = model
        self._variables = jax.device_put(variables)
        self._batch_size = batch_size
        network = build_model(model)

        def alone(variables: Any, image: jax.Array, side: jax.Array) -> dict[str, jax.Array]:
            if image.dtype == jnp.uint8:
                image = normalize(from_uint8(image))
            outputs = network.apply(variables, image[None], side[None])
            features = {"holistic": outputs.holistic, "parts": outputs.parts}
            return {name: x[0] for name, x in (features | {"selected": outputs.selected}).items()}

        # One image a call, so that presets which mix a batch cannot mix these images.
        self._forward = jax.jit(jax.vmap(alone, in_axes=(None, 0, 0)))

    @classmethod
    def load(
        cls, checkpoint: str | Path, *, preset: str | None = None, batch_size: int = 8
    ) -> "Extractor":
        """Reads a checkpoint.

        Args:
            checkpoint: workdir of a training (its newest checkpoint), one checkpoint of it, or
                what convert_weights.py wrote.
            preset: "paper" or "released" (see docs/differences.md); None as the checkpoint says.
            batch_size: images computed at once; smaller numbers are padded to it.

        Raises:
            ConfigError: there is no such checkpoint, it is damaged, or holds no whole network.
        """
        weights = load_weights(Path(checkpoint))
        if not weights.complete:
            raise ConfigError(
                f"{weights.folder} holds no whole DPEFormer (a backbone or a memory bank alone); "
                "train from it with --config.init.checkpoint"
            )
        if missing := weights.missing:
            raise ConfigError(f"{weights.folder} lacks {', '.join(missing)}")
        if preset is not None and preset not in PRESETS:
            raise ConfigError(f"preset = {preset!r} is not one of {', '.join(map(repr, PRESETS))}")
        return cls(weights.variables, weights.model | PRESETS.get(preset, {}), batch_size)

    def features(self, images: np.ndarray, sides: Sequence[int] | None = None) -> Features:
        """Features of normalised pictures.

        Args:
            images: [B, H, W, 3] float RGB in -1..1, of the checkpoint's image size.
            sides: [B] row of the side information embedding (the camera's place among those of
                the training set); needed where the network was trained with it, else ignored.

        Raises:
            ValueError: images of another size or type; sides missing or out of range.
        """
        images = np.asarray(images)
        expected = (*self.model["image_size"], 3)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise ValueError(f"images have shape {images.shape}, expected (B, *{expected})")
        if not np.issubdtype(images.dtype, np.floating):
            raise ValueError(
                f"images are {images.dtype}; features() takes floats in -1..1, and calling the "
                "extractor itself takes uint8"
            )
        if images.size and not np.abs(images).max() <= 1.001:  # refuses NaN too
            raise ValueError("images must lie in -1..1: (pixel / 255 - 0.5) / 0.5")
        return self._in_batches(images, sides, lambda batch: batch, np.float32)

    def __call__(
        self, images: Sequence[str | Path | np.ndarray], sides: Sequence[int] | None = None
    ) -> Features:
        """Features of files, or of uint8 RGB arrays [h, w, 3] of any size, resized as in training.

        Raises:
            ValueError: names the file or array that is not a picture; see features() for sides.
        """
        if isinstance(images, str | Path) or getattr(images, "ndim", 4) == 3:
            raise ValueError("expected a list of pictures, for one picture too")
        images, size = list(images), tuple(self.model["image_size"])

        def pictures(batch: Sequence[str | Path | np.ndarray]) -> np.ndarray:
            return np.stack([load_picture(image, size) for image in batch])

        return self._in_batches(images, sides, pictures, np.uint8)

    def _in_batches(
        self,
        images: Sequence[Any],
        sides: Sequence[int] | None,
        prepare: Callable[[Sequence[Any]], np.ndarray],
        dtype: type,
    ) -> Features:
        sides = self._checked(sides, len(images))
        found, running = [], None
        for start in range(0, max(len(images), 1), self._batch_size):  # an empty one gives shapes
            part = slice(start, start + self._batch_size)
            count = len(images[part])
            batch = np.zeros((self._batch_size, *self.model["image_size"], 3), dtype)
            batch[:count] = prepare(images[part]) if count else 0
            side = np.resize(sides[part] if count else [0], self._batch_size)
            features = self._forward(self._variables, batch, side)
            if running is not None:  # it was computed while these pictures were read
                found.append(_fetch(*running))
            running = features, count
        found.append(_fetch(*running))
        return {name: np.concatenate([f[name] for f in found]) for name in found[0]}

    def _checked(self, sides: Sequence[int] | None, count: int) -> np.ndarray:
        rows = self.model["sides"]
        if sides is None and rows:
            raise ValueError(
                f"the network embeds the camera: sides must give, for each image, the camera's "
                f"place 0..{rows - 1} among those of its training set"
            )
        if not rows:
            return np.zeros(count, np.int32)
        sides = np.asarray(sides)
        whole = np.issubdtype(sides.dtype, np.integer) or not sides.size
        if sides.shape != (count,) or not whole or not ((sides >= 0) & (sides < rows)).all():
            raise ValueError(f"sides must be {count} whole numbers in 0..{rows - 1}")
        return sides.astype(np.int32)


def _fetch(features: dict[str, jax.Array], count: int) -> Features:
    return {name: x[:count] for name, x in jax.device_get(features).items()}


def load_picture(image: str | Path | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A file, or a uint8 RGB array [h, w, 3], as uint8 [H, W, 3] by antialiased bicubic resize.

    size: (height, width) in pixels.

    Raises:
        ValueError: names the file that cannot be read, or the array's shape and type.
    """
    if not isinstance(image, str | Path):
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(
                f"an array of {image.dtype} {image.shape} is no picture; expected uint8 [h, w, 3]"
            )
        picture = Image.fromarray(image)
    else:
        try:
            with Image.open(Path(image).expanduser()) as file:
                picture = to_rgb(file)
        except (OSError, Image.DecompressionBombError) as error:
            raise ValueError(f"{image} cannot be read as a picture: {error}") from error
    return np.asarray(picture.resize(size[::-1], Image.Resampling.BICUBIC))


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture in 8-bit RGB; 16-bit grey is scaled, where Pillow alone clips it to white."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")
