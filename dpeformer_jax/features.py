"""The one way from pictures to a network's features."""

from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from dpeformer_jax.base.interfaces import Images
from dpeformer_jax.model.pixels import from_uint8, normalize_pixels
from dpeformer_jax.runtime.devices import own_places, prefetch, replicated

SELECTED = "selected"  # [B, N] bool: the patches, in raster order, that the network kept
CONCAT = "concat"  # all features, each at length 1, side by side

Features = dict[str, np.ndarray]


class FeaturePass:
    """A network in evaluation mode over any number of pictures, compiled once a pixel type.

    Every picture counts once: the last batch is padded, and its padding is dropped.
    """

    def __init__(
        self,
        network: nn.Module,
        mesh: Mesh,
        batch_size: int,
        *,
        flip: bool = False,
        alone: bool = False,
    ):
        """Takes a network and the mesh whose devices share a batch; compiles nothing yet.

        Args:
            batch_size: images a batch; rounded up to a multiple of the devices.
            flip: averages the features of a picture and of its mirror image.
            alone: computes a picture as a batch of its own where the network would mix a batch.
        """
        self.batch_size = -(-batch_size // mesh.size) * mesh.size
        self.flip, self._mesh = flip, mesh
        self._forward = jax.jit(
            _forward(network, flip, alone and network.spec.mixes_batch),
            out_shardings=replicated(mesh),
        )

    def batches(
        self, variables: Any, images: Images, camera_rows: np.ndarray, title: str = ""
    ) -> Iterator[tuple[dict[str, jax.Array], np.ndarray]]:
        """Yields (features on the devices [B, F] by name, indices [n] of the pictures), in order.

        Of the last batch only the first n features count. A terminal shows a progress bar.

        camera_rows: [M] int32, see NetworkSpec.rows_of; title: of the progress bar, "" for none.
        """
        total = len(images)
        plan = np.arange(-(-total // self.batch_size) * self.batch_size)
        plan = plan.reshape(-1, self.batch_size)
        own = np.minimum(plan, total - 1)[:, own_places(self._mesh, self.batch_size)]
        loaded = (
            {"image": pixels, "camera_row": camera_rows[row]}
            for pixels, row in zip(images.batches(own), own, strict=True)
        )
        hidden = None if title else True  # None hides the bar where there is no terminal
        bar = tqdm(prefetch(loaded, self._mesh), title, len(plan), unit="batch", disable=hidden)
        for batch, places in zip(bar, plan, strict=True):
            found = self._forward(variables, batch["image"], batch["camera_row"])
            yield found, places[places < total]

    def __call__(
        self,
        variables: Any,
        images: Images,
        camera_rows: np.ndarray,
        names: Sequence[str] | None = None,
        title: str = "",
    ) -> Features:
        """Returns the named features [M, F] in host memory, all without `names`; see `batches`.

        SELECTED is one of the names where the network chooses patches.
        """
        found: list[Features] = []
        waiting = None  # fetched after the next batch is dispatched
        for features, places in self.batches(variables, images, camera_rows, title):
            found += [] if waiting is None else [_fetch(*waiting, names)]
            waiting = features, len(places)
        if waiting is None:
            return self._empty(variables, images, names)
        found.append(_fetch(*waiting, names))
        return {name: np.concatenate([f[name] for f in found]) for name in found[0]}

    def _empty(self, variables: Any, images: Images, names: Sequence[str] | None) -> Features:
        (none,) = images.batches(np.zeros((1, 0), int))
        one = np.zeros((1, *none.shape[1:]), none.dtype)
        found = jax.eval_shape(self._forward, variables, one, np.zeros(1, np.int32))
        chosen = found if names is None else names
        return {name: np.zeros((0, *found[name].shape[1:]), found[name].dtype) for name in chosen}


def unit_length(features: np.ndarray) -> np.ndarray:
    """Scales the rows of [M, F] to length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def at_unit_length(features: Features) -> Features:
    """Scales each feature to length 1 and adds CONCAT, which gives several the same weight."""
    scaled = {name: unit_length(x) for name, x in features.items()}
    if len(scaled) > 1:
        scaled[CONCAT] = unit_length(np.concatenate([*scaled.values()], axis=1))
    return scaled


def _forward(network: nn.Module, flip: bool, alone: bool):
    """Returns fn(variables, image [B, H, W, 3], camera_row [B]) -> features by name."""

    def forward(variables: Any, image: jax.Array, camera_row: jax.Array) -> dict[str, jax.Array]:
        if image.dtype == jnp.uint8:
            image = normalize_pixels(from_uint8(image))
        outputs = network.apply(variables, image, camera_row)
        features = outputs.features
        if flip:
            mirrored = network.apply(variables, image[:, :, ::-1], camera_row).features
            features = {name: (x + mirrored[name]) / 2 for name, x in features.items()}
        chosen = {} if outputs.selection is None else {SELECTED: outputs.selection.kept}
        return {**features, **chosen}

    def one(variables: Any, image: jax.Array, camera_row: jax.Array) -> dict[str, jax.Array]:
        found = forward(variables, image[None], camera_row[None])
        return {name: x[0] for name, x in found.items()}

    return jax.vmap(one, in_axes=(None, 0, 0)) if alone else forward


def _fetch(features: dict[str, jax.Array], count: int, names: Sequence[str] | None) -> Features:
    chosen = features if names is None else names
    return {name: np.asarray(features[name])[:count] for name in chosen}
