"""Explains what a network made of a picture: chosen patches, their parts, attention."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dpeformer_jax.base.pictures import Source
from dpeformer_jax.explanation.attention import with_attention
from dpeformer_jax.extractor import Extractor
from dpeformer_jax.features import at_unit_length
from dpeformer_jax.loading import load
from dpeformer_jax.model.families import build_network
from dpeformer_jax.model.network import Network
from dpeformer_jax.model.pixels import from_uint8, normalize_pixels
from dpeformer_jax.model.selection import BANDS, batch_bands
from dpeformer_jax.model.spec import NetworkSpec


@dataclasses.dataclass(frozen=True)
class Choice:
    """The patches of one picture that DPSM chose; see Selection in model/selection.py.

    rank, similarity: [N]; count: K; proxy: the patch that the others are compared with.
    parts: [P, N] weights of the patches in each part.
    """

    rank: np.ndarray
    similarity: np.ndarray
    count: int
    proxy: int
    parts: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """[N] bool, in raster order."""
        return self.rank < self.count

    @property
    def falling(self) -> np.ndarray:
        """[N] similarities, the highest first."""
        return np.sort(self.similarity)[::-1]

    @property
    def gap(self) -> int:
        """How many patches lie above the largest drop in similarity."""
        falling = self.falling
        return int(np.argmax(falling[:-1] - falling[1:])) + 1


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a network made of one picture.

    pixels: [H, W, 3] uint8 as the network saw them; spec: defines the network, and with its `grid`
    the N patches in raster order.
    rollout: [N], last: [heads, N], see explanation/attention.py.
    choice: None where the network chooses no patches.
    features: [F] by name, each at length 1.
    """

    pixels: np.ndarray
    spec: NetworkSpec
    rollout: np.ndarray
    last: np.ndarray
    choice: Choice | None
    features: dict[str, np.ndarray]


def explain(
    extractor: Extractor, pictures: Sequence[Source], camera_rows: Sequence[int] | None = None
) -> list[Explanation]:
    """Explains pictures of any size, one by one; for the arguments see calling the extractor.

    Raises:
        UserError: names the picture that cannot be read, or the argument that is wrong.
    """
    spec, rows = extractor.spec, extractor.checked_rows(camera_rows, len(pictures))
    loaded = load(pictures, spec.image_size, batch_size=1, threads=1, skip=False)
    pixels = np.concatenate([batch.pixels for batch in loaded])
    return explain_pixels(build_network(spec), extractor.variables, pixels, rows)


def explain_pixels(
    network: Network, variables: Any, pixels: np.ndarray, camera_rows: np.ndarray
) -> list[Explanation]:
    """Explains pictures of the network's size.

    Args:
        variables: of the network; pixels: [M, H, W, 3] uint8.
        camera_rows: [M] row of the side information embedding.
    """
    found = []
    for picture, row in zip(pixels, camera_rows, strict=True):
        told = jax.device_get(_explained(network, variables, picture[None], row[None]))
        alone = jax.tree.map(lambda x: x[0], told)
        choice = None if alone["choice"] is None else _plain(alone["choice"])
        found.append(Explanation(picture, network.spec, **alone | {"choice": choice}))
    return found


@functools.partial(jax.jit, static_argnums=0)
def _explained(
    network: Network, variables: Any, pixels: jax.Array, camera_row: jax.Array
) -> dict[str, Any]:
    images = normalize_pixels(from_uint8(pixels))
    outputs, attention = with_attention(network, variables, images, camera_row)
    spec, choice = network.spec, None
    if outputs.selection is not None and spec.selection == "dpsm":
        weigh = batch_bands if spec.pooling == "batch" else BANDS[spec.bands]
        choice = {
            **outputs.selection._asdict(),
            "parts": weigh(outputs.selection, spec.parts),
        }
    features = at_unit_length({n: x.astype(jnp.float32) for n, x in outputs.features.items()})
    return {**attention._asdict(), "choice": choice, "features": features}


def _plain(choice: dict[str, np.ndarray]) -> Choice:
    whole = {name: int(choice[name]) for name in ("count", "proxy")}
    return Choice(**choice | whole)
