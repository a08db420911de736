"""DPEFormer: backbone, holistic parts, selected and blended parts, classifiers."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from dpeformer_jax.model.blending import PartBlending
from dpeformer_jax.model.selection import (
    batch_bands,
    own_bands,
    pool_selected,
    pool_stripes,
    select_patches,
)
from dpeformer_jax.model.vit import Variant, VisionTransformer


class Logits(NamedTuple):
    """Identity scores: holistic, blended, globe [B, C]; parts [B, P, C]."""

    holistic: jax.Array
    blended: jax.Array
    globe: jax.Array
    parts: jax.Array


@flax.struct.dataclass
class Outputs:
    """What the network says of each image, all float32.

    holistic: [B, P * D] normalised stripes of all patches (h), the space of the memory bank.
    parts: [B, P * D] normalised blended parts of the selected patches (z).
    selected: [B, N] bool, the patches that DPSM kept.
    logits: identity scores; unused outside training, where jit removes them.
    """

    holistic: jax.Array
    parts: jax.Array
    selected: jax.Array
    logits: Logits


class PartNorm(nn.Module):
    """A BatchNorm for each part with torch's statistics: [B, P, D] -> [B, P, D].

    Training normalises by the biased variance of the batch and updates the running variance by
    the unbiased one, momentum 0.1. The bias is a constant 0: it stands with the statistics, since
    it is never trained.
    """

    epsilon: float = 1e-5
    momentum: float = 0.1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        shape = x.shape[1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.variable("batch_stats", "bias", jnp.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        if not train:
            return (x - mean.value) * scale * jax.lax.rsqrt(var.value + self.epsilon) + bias.value
        batch_mean, batch_var = x.mean(0), x.var(0)
        unbiased = batch_var * len(x) / (len(x) - 1)
        mean.value += self.momentum * (batch_mean - mean.value)
        var.value += self.momentum * (unbiased - var.value)
        return (x - batch_mean) * scale * jax.lax.rsqrt(batch_var + self.epsilon) + bias.value


class PartClassifier(nn.Module):
    """A linear classifier without bias for each part: [B, P, D] -> [B, P, C]."""

    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = nn.initializers.normal(0.001)
        kernel = self.param("kernel", init, (*x.shape[1:], self.num_classes))
        return jnp.einsum("bpd,pdc->bpc", x, kernel)


class DPEFormer(nn.Module):
    """The whole network (arXiv 2402.10435).

    Attributes:
        variant: size of the backbone.
        stride: pixels between neighbouring patches.
        num_classes: training identities C.
        parts: P.
        min_patches: smallest number of patches that DPSM keeps (K_min).
        drop_path, sides, side_coefficient: see VisionTransformer.
        dtype: of backbone and blending; selection, pooling, norms and heads are float32.
        global_token: "class" (the paper's) or "first_patch" (the released program's).
        pooling: of the kept patches, from each "image"'s own count, or by way of the smallest
            count of the "batch" as in the released program.
        head_merge: of the blending attention, within each "image", or across the "batch" as in
            the released program.
        remat, attention: see VisionTransformer.
        microbatches: pieces that the backbone takes a training batch in, one after the other; what
            is inside it is kept for one piece at a time and computed again for the gradient.
    """

    variant: Variant
    stride: int
    num_classes: int
    parts: int = 4
    min_patches: int = 24
    drop_path: float = 0.0
    sides: int = 0
    side_coefficient: float = 3.0
    dtype: jnp.dtype = jnp.float32
    global_token: str = "class"
    pooling: str = "image"
    head_merge: str = "image"
    remat: bool = False
    attention: str = "xla"
    microbatches: int = 1

    @property
    def mixes_batch(self) -> bool:
        """Whether a feature depends on the other images of its batch."""
        return "batch" in (self.pooling, self.head_merge)

    def setup(self):
        self.backbone = VisionTransformer(
            self.variant,
            self.stride,
            self.drop_path,
            self.sides,
            self.side_coefficient,
            self.dtype,
            self.remat,
            self.attention,
        )
        self.blending = PartBlending(self.dtype, mix_batch=self.head_merge == "batch")
        self.holistic_norm, self.part_norm = PartNorm(), PartNorm()
        linear = {"use_bias": False, "kernel_init": nn.initializers.normal(0.001)}
        self.holistic_classifier = nn.Dense(self.num_classes, **linear)
        self.blended_classifier = nn.Dense(self.num_classes, **linear)
        self.global_classifier = nn.Dense(self.num_classes, **linear)
        self.part_classifier = PartClassifier(self.num_classes)

    def __call__(self, images: jax.Array, side: jax.Array | None = None) -> Outputs:
        """Evaluation, each image on its own unless `mixes_batch`.

        images: [B, H, W, 3] normalised; side: [B] row of the SIE.
        """
        return self._heads(self.backbone(images, side), train=False)

    def train_views(
        self,
        views: jax.Array,
        side: jax.Array | None,
        keys: jax.Array,
        gather: Callable[[jax.Array], jax.Array] = lambda tokens: tokens,
    ) -> tuple[Outputs, Outputs]:
        """Training: outputs for the clean and for the occluded view.

        The backbone sees both views as one batch; the norms take them one after the other, so
        that each view has statistics of its own and the running ones move twice, clean first.

        Args:
            views: [2, B, H, W, 3] normalised, clean then occluded.
            side: [B] row of the SIE, or None.
            keys: [2, B] random keys for the stochastic depth.
            gather: brings the tokens of the whole batch together, where B is a device's share.
        """
        # The views of an image side by side, so that a batch that is split over devices stays so.
        images, keys = (x.swapaxes(0, 1).reshape(-1, *x.shape[2:]) for x in (views, keys))
        both = None if side is None else jnp.repeat(side, 2)
        tokens = self._tokens(images, both, keys)
        clean, occluded = (gather(tokens[view::2]) for view in (0, 1))
        return self._heads(clean, train=True), self._heads(occluded, train=True)

    def _tokens(self, *batch: jax.Array | None) -> jax.Array:
        """The backbone on a training batch, piece by piece; the heads see it whole all the same."""
        count = self.microbatches
        if count == 1:
            return self.backbone(*batch)

        def piece(backbone: VisionTransformer, carry: None, images: tuple) -> tuple:
            return carry, backbone(*images)

        # Every count-th image is of one piece, so that each device has a share of all pieces.
        pieces = jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1), batch)
        scan = nn.scan(nn.remat(piece), variable_broadcast="params", split_rngs={"params": False})
        _, tokens = scan(self.backbone, None, pieces)
        return tokens.swapaxes(0, 1).reshape(-1, *tokens.shape[2:])

    def _heads(self, tokens: jax.Array, train: bool) -> Outputs:
        globe = tokens[:, 1 if self.global_token == "first_patch" else 0]
        patches = tokens[:, 1:]
        selection = select_patches(globe, patches, self.min_patches)
        stripes = self.holistic_norm(pool_stripes(patches, self.parts), train)
        weigh = batch_bands if self.pooling == "batch" else own_bands
        bands = pool_selected(patches, weigh(selection, self.parts))
        blended = self.part_norm(self.blending(bands, globe).astype(jnp.float32), train)
        h, z = (x.reshape(len(x), -1) for x in (stripes, blended))
        logits = Logits(
            self.holistic_classifier(h),
            self.blended_classifier(z),
            self.global_classifier(globe.astype(jnp.float32)),
            self.part_classifier(blended),
        )
        return Outputs(holistic=h, parts=z, selected=selection.kept, logits=logits)
