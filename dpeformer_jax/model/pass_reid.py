"""PASS: a baseline with part tokens that its pre-training made (arXiv 2203.03931, section 3.4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.baseline import Baseline
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.variants import VARIANTS


class PASS(Baseline):
    """A ViT's class token and the mean of its part tokens.

    Features: "before" and "after" the neck, [B, 2 * D] side by side, or their mean [B, D] where the
    spec's `fusion` is "mean". Logits: "global" [B, C]. With `token_necks` each of the tokens has a
    neck of its own, in front of the fusion.
    """

    @nn.nowrap
    def pieces(self, feature: str) -> dict[str, int]:
        """Returns the pieces of a feature; see Network."""
        if self.spec.fusion == "mean":
            return {"mean of the tokens": self.width}
        return {"class token": self.width, "part tokens": self.width}

    def encode(
        self, images: jax.Array, camera_row: jax.Array | None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Returns the special tokens [B, S, D]."""
        special = VARIANTS[self.spec.variant].special
        return self.backbone(images, camera_row, keys)[:, :special].astype(jnp.float32)

    def heads(self, encoded: jax.Array, train: bool) -> Outputs:
        """Fuses, normalises and classifies the tokens; see Network."""
        before = self._fused(encoded)
        if not self.spec.token_necks:
            return super().heads(before, train)
        return self.classified(before, self._fused(self.neck(encoded, train)))

    def _fused(self, tokens: jax.Array) -> jax.Array:
        both = tokens[:, 0], tokens[:, 1:].mean(axis=1)
        return sum(both) / 2 if self.spec.fusion == "mean" else jnp.concatenate(both, axis=1)
