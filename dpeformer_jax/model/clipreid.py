"""CLIP-ReID's image side: CLIP's encoder with two necks (arXiv 2211.13977).

Its first stage, which learns a text for each identity, is not part of this program, and neither is
the loss of the second stage that compares images with these texts.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.heads import PartNorm, classifier
from dpeformer_jax.model.network import Network
from dpeformer_jax.model.outputs import Outputs


class CLIPReID(Network):
    """A ViT's class token [D] and its projection [E] into CLIP's common space, a neck for each.

    Features: "before" and "after" the necks [B, D + E]. Logits: "global", "projected" [B, C].
    The triplet loss takes the class token before the last block too. The side information
    embedding is added to the class token alone.
    """

    last_blocks = ("last",)
    sie_on = "class"

    def setup(self):
        spec = self.spec
        self.backbone = self.build_backbone()
        self.last = self.build_last_block()
        self.projection = nn.Dense(spec.projection, use_bias=False)
        self.neck, self.projected_neck = PartNorm(), PartNorm()
        self.classifier = classifier(spec.num_classes)
        self.projected_classifier = classifier(spec.num_classes)

    @nn.nowrap
    def pieces(self, feature: str) -> dict[str, int]:
        """Returns the pieces of a feature; see Network."""
        return {"class token": self.width, "projection": self.spec.projection}

    def encode(
        self, images: jax.Array, camera_row: jax.Array | None, keys: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the class tokens [B, D] before and after the last block."""
        tokens = self.backbone(images, camera_row, keys)
        found = tokens[:, 0], self.last(tokens, keys)[:, 0]
        return tuple(x.astype(jnp.float32) for x in found)

    def heads(self, encoded: tuple[jax.Array, jax.Array], train: bool) -> Outputs:
        """Projects, normalises and classifies the class tokens; see Network."""
        earlier, token = encoded
        projected = self.projection(token)
        after = self.neck.whole(token, train)
        projected_after = self.projected_neck.whole(projected, train)
        features = {
            "before": jnp.concatenate([token, projected], axis=1),
            "after": jnp.concatenate([after, projected_after], axis=1),
        }
        logits = {
            "global": self.classifier(after),
            "projected": self.projected_classifier(projected_after),
        }
        metric = {"earlier": earlier, "global": token, "projected": projected}
        return Outputs(features, logits, metric)
