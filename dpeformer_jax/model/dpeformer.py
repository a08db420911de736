"""DPEFormer: backbone, holistic parts, selected and blended parts, classifiers."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.blending import PartBlending
from dpeformer_jax.model.heads import PartClassifier, PartNorm, classifier
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.selection import (
    batch_bands,
    own_bands,
    pool_selected,
    pool_stripes,
    select_patches,
)
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.two_views import Gather, tokens_of_views
from dpeformer_jax.model.vit import VARIANTS, VisionTransformer


class DPEFormer(nn.Module):
    """The paper's network (arXiv 2402.10435).

    Features: "holistic" [B, P * D], the normalised stripes of all patches (h), the memory bank's
    space; "parts" [B, P * D], the normalised blended parts of the selected patches (z). Logits:
    "holistic", "parts" and "global_token" [B, C]; "each_part" [B, P, C].

    spec: defines the features. Backbone and blending compute in its dtype; selection, pooling,
    norms and heads in float32. drop_path, remat, attention: see VisionTransformer; microbatches:
    see tokens_of_views.
    """

    spec: NetworkSpec
    drop_path: float = 0.0
    remat: bool = False
    attention: str = "xla"
    microbatches: int = 1

    def setup(self):
        spec, dtype = self.spec, jnp.dtype(self.spec.dtype)
        self.backbone = VisionTransformer(
            VARIANTS[spec.variant],
            spec.stride,
            self.drop_path,
            spec.sie_rows,
            spec.sie_coefficient,
            dtype,
            self.remat,
            self.attention,
        )
        self.blending = PartBlending(dtype, mix_batch=spec.head_merge == "batch")
        self.holistic_norm, self.part_norm = PartNorm(), PartNorm()
        self.holistic_classifier = classifier(spec.num_classes)
        self.blended_classifier = classifier(spec.num_classes)
        self.global_classifier = classifier(spec.num_classes)
        self.part_classifier = PartClassifier(spec.num_classes)

    def __call__(self, images: jax.Array, camera_row: jax.Array | None = None) -> Outputs:
        """Evaluates each image on its own, unless the spec `mixes_batch`.

        images: [B, H, W, 3] normalised; camera_row: [B] row of the side information embedding.
        """
        return self._heads(self.backbone(images, camera_row), train=False)

    def train_views(
        self,
        views: jax.Array,
        camera_row: jax.Array | None,
        keys: jax.Array,
        gather: Gather = lambda tokens: tokens,
    ) -> tuple[Outputs, Outputs]:
        """Computes the outputs for the clean and for the occluded view in training.

        The norms take the views one after the other, so that each view has statistics of its own
        and the running ones move twice, clean first. Arguments: see tokens_of_views.
        """
        clean, occluded = tokens_of_views(
            self.backbone, views, camera_row, keys, gather, self.microbatches
        )
        return self._heads(clean, train=True), self._heads(occluded, train=True)

    def _heads(self, tokens: jax.Array, train: bool) -> Outputs:
        spec = self.spec
        global_token = tokens[:, 1 if spec.global_token == "first_patch" else 0]
        patches = tokens[:, 1:]
        selection = select_patches(global_token, patches, spec.min_patches)
        stripes = self.holistic_norm(pool_stripes(patches, spec.parts), train)
        weigh = batch_bands if spec.pooling == "batch" else own_bands
        bands = pool_selected(patches, weigh(selection, spec.parts))
        blended = self.blending(bands, global_token).astype(jnp.float32)
        blended = self.part_norm(blended, train)
        holistic, parts = (x.reshape(len(x), -1) for x in (stripes, blended))
        logits = {
            "holistic": self.holistic_classifier(holistic),
            "parts": self.blended_classifier(parts),
            "global_token": self.global_classifier(global_token.astype(jnp.float32)),
            "each_part": self.part_classifier(blended),
        }
        return Outputs({"holistic": holistic, "parts": parts}, logits, selection)
