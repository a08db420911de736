"""DPEFormer: backbone, holistic parts, selected and blended parts, classifiers."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.blending import PartBlending
from dpeformer_jax.model.heads import PartClassifier, PartNorm, classifier
from dpeformer_jax.model.network import Network
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.selection import (
    BANDS,
    all_patches,
    batch_bands,
    pool_selected,
    pool_stripes,
    select_patches,
)
from dpeformer_jax.model.variants import VARIANTS


class DPEFormer(Network):
    """The paper's network (arXiv 2402.10435).

    Features: "holistic" [B, P * D], the normalised stripes of all patches (h), the memory bank's
    space; "parts" [B, P * D], the normalised blended parts of the selected patches (z). Logits:
    "holistic", "parts" and "global_token" [B, C]; "each_part" [B, P, C].

    Backbone and blending compute in the spec's dtype; selection, pooling, norms and heads in
    float32.
    """

    def setup(self):
        spec = self.spec
        self.backbone = self.build_backbone()
        if spec.blending:
            merged = spec.head_merge == "batch"
            self.blending = PartBlending(jnp.dtype(spec.dtype), mix_batch=merged)
        self.holistic_norm, self.part_norm = PartNorm(), PartNorm()
        self.holistic_classifier = classifier(spec.num_classes)
        self.blended_classifier = classifier(spec.num_classes)
        self.global_classifier = classifier(spec.num_classes)
        self.part_classifier = PartClassifier(spec.num_classes)

    @nn.nowrap
    def pieces(self, feature: str) -> dict[str, int]:
        """Returns the parts of a feature; see Network."""
        name = {"holistic": "stripe", "parts": "part"}[feature]
        return {f"{name} {number}": self.width for number in range(1, self.spec.parts + 1)}

    def encode(
        self, images: jax.Array, camera_row: jax.Array | None, keys: jax.Array | None = None
    ) -> jax.Array:
        """Returns the backbone's tokens [B, S + N, D]."""
        return self.backbone(images, camera_row, keys)

    def heads(self, encoded: jax.Array, train: bool) -> Outputs:
        """Selects patches, pools and blends them; see Network."""
        spec, special = self.spec, VARIANTS[self.spec.variant].special
        global_token = encoded[:, special if spec.global_token == "first_patch" else 0]
        patches = encoded[:, special:]
        if spec.selection == "all":
            selection = all_patches(patches)
        else:
            rule = spec.min_patches, spec.similarity, spec.count
            selection = select_patches(global_token, patches, *rule)
        weigh = batch_bands if spec.pooling == "batch" else BANDS[spec.bands]
        parts = pool_selected(patches, weigh(selection, spec.parts))
        if spec.blending:
            parts = self.blending(parts, global_token).astype(jnp.float32)
        stripes = self.holistic_norm(pool_stripes(patches, spec.parts), train)
        parts = self.part_norm(parts, train)
        features = {"holistic": stripes, "parts": parts}
        features = {name: x.reshape(x.shape[0], -1) for name, x in features.items()}
        logits = {
            "holistic": self.holistic_classifier(features["holistic"]),
            "parts": self.blended_classifier(features["parts"]),
            "global_token": self.global_classifier(global_token.astype(jnp.float32)),
            "each_part": self.part_classifier(parts),
        }
        return Outputs(features, logits, features, selection)
