"""The field's strong baseline: class token, norm, classifier (arXiv 2102.04378, table 1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.heads import PartNorm, classifier
from dpeformer_jax.model.network import Network
from dpeformer_jax.model.outputs import Outputs


class Baseline(Network):
    """A ViT's class token with a neck (BNNeck, arXiv 1903.07071).

    Features: "before" and "after" the neck [B, D]. Logits: "global" [B, C].
    """

    def setup(self):
        self.backbone = self.build_backbone()
        self.neck = PartNorm()
        self.classifier = classifier(self.spec.num_classes)

    @nn.nowrap
    def pieces(self, feature: str) -> dict[str, int]:
        """Returns the pieces of a feature; see Network."""
        return {"class token": self.width}

    def encode(
        self, images: jax.Array, camera_row: jax.Array | None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Returns the class tokens [B, D]."""
        return self.backbone(images, camera_row, keys)[:, 0].astype(jnp.float32)

    def heads(self, encoded: jax.Array, train: bool) -> Outputs:
        """Normalises and classifies the class tokens; see Network."""
        return self.classified(encoded, self.neck.whole(encoded, train))

    def classified(self, before: jax.Array, after: jax.Array) -> Outputs:
        """Returns the outputs for a feature [B, F] before and after the neck."""
        features = {"before": before, "after": after}
        return Outputs(features, {"global": self.classifier(after)}, {"global": before})
