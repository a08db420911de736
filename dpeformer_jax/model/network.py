"""What the networks of all families share: a backbone, an encoder of images, and heads."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.model.views import Gather, encoded_views
from dpeformer_jax.model.vit import LastBlock, VisionTransformer


class Network(nn.Module):
    """A network in two stages, between which the devices of a training batch exchange.

    `encode` sees each image alone. `heads` see the whole batch, for their norms' statistics.

    spec: defines the features. The encoder computes in its dtype, norms and heads in float32.
    drop_path, remat, attention, scan: see VisionTransformer; microbatches: see encoded_views.

    Of a family: last_blocks, names of the modules that hold a LastBlock each, where the backbone is
    a trunk; sie_on, see VisionTransformer.
    """

    last_blocks = ()
    sie_on = "all"

    spec: NetworkSpec
    drop_path: float = 0.0
    remat: bool = False
    attention: str = "xla"
    scan: bool = False
    microbatches: int = 1

    def encode(
        self, images: jax.Array, camera_row: jax.Array | None, keys: jax.Array | None = None
    ) -> Any:
        """Returns what the heads need of the images, arrays [B, ...]; see VisionTransformer."""
        raise NotImplementedError

    def heads(self, encoded: Any, train: bool) -> Outputs:
        """Returns the outputs; in training the norms take the batch's statistics."""
        raise NotImplementedError

    @nn.nowrap
    def pieces(self, feature: str) -> dict[str, int]:
        """Returns what a feature is put together from: the width of each piece by name, in order.

        No two features that are compared together have pieces of one name.
        """
        raise NotImplementedError

    def __call__(self, images: jax.Array, camera_row: jax.Array | None = None) -> Outputs:
        """Evaluates each image on its own, unless the spec `mixes_batch`.

        images: [B, H, W, 3] normalised; camera_row: [B] row of the side information embedding.
        """
        return self.heads(self.encode(images, camera_row), train=False)

    def train_views(
        self,
        views: jax.Array,
        camera_row: jax.Array | None,
        keys: jax.Array,
        gather: Gather = lambda x: x,
    ) -> tuple[Outputs, ...]:
        """Computes the outputs of each view in training; arguments: see encoded_views.

        The norms take the views one after the other, so that each view has statistics of its own
        and the running ones move once a view, clean first.
        """
        encoded = encoded_views(self, views, camera_row, keys, gather, self.microbatches)
        return tuple(self.heads(view, train=True) for view in encoded)

    @property
    def width(self) -> int:
        """Width of the backbone's tokens."""
        return VARIANTS[self.spec.variant].width

    def build_backbone(self) -> VisionTransformer:
        """Builds the backbone of the spec."""
        spec = self.spec
        return VisionTransformer(
            VARIANTS[spec.variant],
            spec.stride,
            self.drop_path,
            spec.sie_rows,
            spec.sie_coefficient,
            jnp.dtype(spec.dtype),
            self.remat,
            self.attention,
            self.scan,
            self.sie_on,
            trunk=bool(self.last_blocks),
        )

    def build_last_block(self) -> LastBlock:
        """Builds a last block for a backbone that is a trunk."""
        variant, dtype = VARIANTS[self.spec.variant], jnp.dtype(self.spec.dtype)
        return LastBlock(variant, self.drop_path, dtype, self.remat, self.attention)
