"""The one way from pictures to a network's features."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.stages import Lowered

from dpeformer_jax.base.interfaces import Images
from dpeformer_jax.base.progress import progress
from dpeformer_jax.model.pixels import from_uint8, normalize_pixels
from dpeformer_jax.runtime.devices import own_places, prefetch, replicated, within

SELECTED = "selected"  # [B, N] bool: the patches, in raster order, that the network kept
BEFORE, AFTER = "before", "after"  # one feature in front of its neck (BNNeck) and behind it
CONCAT = "concat"  # all features, each at length 1, side by side

Features = dict[str, np.ndarray]
# (variables, image, camera_row) -> features by name
Forward = Callable[[Any, jax.Array, jax.Array | None], dict[str, jax.Array]]
About = TypeVar("About")


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
            within(mesh, forward_of(network, flip, alone and network.spec.mixes_batch)),
            out_shardings=replicated(mesh),
        )

    def lower(self, *shapes: Any) -> Lowered:
        """Lowers the pass for shapes of (variables, images, camera rows), to compile it then."""
        return self._forward.lower(*shapes)

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
            ({"image": pixels, "camera_row": camera_rows[row]}, places[places < total])
            for pixels, row, places in zip(images.batches(own), own, plan, strict=True)
        )
        return self.over(variables, loaded, len(plan), title)

    def over(
        self,
        variables: Any,
        loaded: Iterable[tuple[dict[str, np.ndarray], About]],
        total: int | None = None,
        title: str = "",
    ) -> Iterator[tuple[dict[str, jax.Array], About]]:
        """Yields (features on the devices [B, F] by name, what belongs to the batch), in order.

        Args:
            loaded: ({"image": [n, H, W, 3], "camera_row": [n] int32}, what belongs to the batch):
                this process's part of each batch. There may be endlessly many.
            total: how many there are, for the progress bar; title: of the bar, "" for none.
        """
        inputs, told = itertools.tee(loaded)
        placed = prefetch((batch for batch, _ in inputs), self._mesh)
        bar = progress(placed, title=title, unit="batch", total=total)
        for batch, (_, about) in zip(bar, told, strict=False):
            yield self._forward(variables, batch["image"], batch["camera_row"]), about

    def __call__(
        self,
        variables: Any,
        images: Images,
        camera_rows: np.ndarray,
        names: Sequence[str] | None = None,
        title: str = "",
        scaled: bool = False,
    ) -> Features:
        """Returns the named features [M, F] in host memory; see `batches`.

        Args:
            names: of features, of SELECTED where the network chooses patches, and of CONCAT; None
                for all that the network gives.
            scaled: whether each feature gets length 1.
        """
        chosen = None if names is None else tuple(names)
        if not len(images):
            return self.empty(variables, _blank(images), chosen)
        batches = self.batches(variables, images, camera_rows, title)
        return _joined(on_host(batches, chosen, scaled), len(images))

    def share(
        self,
        variables: Any,
        images: Images,
        camera_rows: np.ndarray,
        names: Sequence[str],
        title: str = "",
        scaled: bool = False,
        dtype: str = "float32",
    ) -> tuple[Features, np.ndarray]:
        """Returns what this process's devices compute: (features [m, F], places [m] in images).

        The features are rounded to dtype before they reach host memory. The places ascend. All
        processes must call this alike; each picture is in one of their shares. Where there is one
        process, its share is everything.

        For the other arguments see calling the pass.
        """
        own, places = own_places(self._mesh, self.batch_size), np.arange(len(images))
        if not len(images):
            return self.empty(variables, _blank(images), tuple(names), dtype), places
        batches = (
            (
                {name: x.addressable_data(0)[own] for name, x in features.items()},
                batch[own[own < len(batch)]],
            )
            for features, batch in self.batches(variables, images, camera_rows, title)
        )
        places = places[np.isin(places % self.batch_size, own)]
        return _joined(on_host(batches, tuple(names), scaled, dtype), len(places)), places

    def empty(
        self,
        variables: Any,
        image: np.ndarray,
        names: tuple[str, ...] | None = None,
        dtype: str | None = None,
    ) -> Features:
        """Returns the named features [0, F] of no picture; image: [1, H, W, 3] of its form."""
        found = jax.eval_shape(self._forward, variables, image, np.zeros(1, np.int32))
        form = functools.partial(_chosen, names=names, scaled=False, dtype=dtype)
        chosen = jax.eval_shape(form, found)
        return {name: np.zeros((0, *x.shape[1:]), x.dtype) for name, x in chosen.items()}


def on_host(
    batches: Iterable[tuple[dict[str, jax.Array], About]],
    names: tuple[str, ...] | None = None,
    scaled: bool = False,
    dtype: str | None = None,
) -> Iterator[tuple[Features, About]]:
    """Fetches the named features of each batch while the next one is computed.

    Args:
        batches: (features on the devices, what belongs to the batch).
        names: CONCAT may be one of them; None for all that there are.
        scaled: whether each feature gets length 1.
        dtype: what the features are rounded to last; None leaves them as they are.
    """
    chosen = ((_chosen(features, names, scaled, dtype), about) for features, about in batches)
    for (features, about), _ in itertools.pairwise(itertools.chain(chosen, [None])):
        yield {name: np.asarray(x) for name, x in features.items()}, about


def _blank(images: Images) -> np.ndarray:
    """Returns a picture [1, H, W, 3] of zeros in the form of images, of which there may be none."""
    (none,) = images.batches(np.zeros((1, 0), int))
    return np.zeros((1, *none.shape[1:]), none.dtype)


def _joined(batches: Iterable[tuple[Features, np.ndarray]], count: int) -> Features:
    """Puts batches one below the other, [count, F] by name, without holding them twice.

    batches: (features, places of the pictures), of which the first features are; the rest pads.
    """
    result: Features = {}
    start = 0
    for features, places in batches:
        end = start + len(places)
        for name, x in features.items():
            if name not in result:
                result[name] = np.empty((count, *x.shape[1:]), x.dtype)
            result[name][start:end] = x[: len(places)]
        start = end
    return result


def unit_length(features: np.ndarray) -> np.ndarray:
    """Scales the rows of [M, F] to length 1, on the host or, of JAX's arrays, on the devices."""
    library = features.__array_namespace__()
    lengths = library.linalg.vector_norm(features, axis=1, keepdims=True)
    return features / library.maximum(lengths, 1e-12)


def joined_by_concat(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the features that CONCAT joins; none where they are BEFORE and AFTER of one."""
    members = tuple(names)
    return () if len(members) < 2 or {*members} == {BEFORE, AFTER} else members


def best_of(names: Iterable[str]) -> str:
    """Returns the feature that pictures are best compared by: CONCAT, or that behind the neck."""
    return CONCAT if joined_by_concat(names) else AFTER


def at_unit_length(features: Features) -> Features:
    """Scales each feature to length 1 and adds CONCAT, which gives several the same weight.

    SELECTED, which is no feature, is left out.
    """
    scaled = {name: unit_length(x) for name, x in features.items() if name != SELECTED}
    if joined_by_concat(scaled):
        library = next(iter(scaled.values())).__array_namespace__()
        scaled[CONCAT] = unit_length(library.concat([*scaled.values()], axis=1))
    return scaled


@functools.partial(jax.jit, static_argnames=("names", "scaled", "dtype"))
def _chosen(
    found: dict[str, jax.Array],
    names: tuple[str, ...] | None,
    scaled: bool,
    dtype: str | None,
) -> dict[str, jax.Array]:
    at_length_1 = at_unit_length(found)
    ready = found | at_length_1 if scaled else at_length_1 | found
    chosen = {name: ready[name] for name in names or found}
    return {n: x if dtype is None or n == SELECTED else x.astype(dtype) for n, x in chosen.items()}


def forward_of(network: nn.Module, flip: bool = False, alone: bool = False) -> Forward:
    """Returns the function that a FeaturePass compiles; for flip and alone see there.

    It takes images [B, H, W, 3], uint8 or normalised, and camera_row [B], None for a network that
    embeds no camera. It gives features [B, F] by name and, of a network that chooses patches,
    SELECTED.
    """

    def forward(
        variables: Any, image: jax.Array, camera_row: jax.Array | None
    ) -> dict[str, jax.Array]:
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
