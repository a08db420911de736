"""TransReID: the baseline with a jigsaw branch (arXiv 2102.04378, sections 3.2 and 3.3).

The side information embedding and overlapping patches are fields of the backbone.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dpeformer_jax.model.heads import PartClassifier, PartNorm, classifier
from dpeformer_jax.model.layers import fold_each
from dpeformer_jax.model.network import Network
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.variants import VARIANTS

# Patches that go from the beginning to the end. The authors' SHIFT_NUM = 5 counts the class token.
SHIFT = 4
GROUPS = 2  # of the shifted patches, whose members alternate
LOCAL = 4  # groups that the jigsaw branch sees


def jigsaw(tokens: jax.Array, special: int) -> jax.Array:
    """Shifts and shuffles patches and divides them into groups.

    A remainder of patches is left out. Where GROUPS do not divide the patches, the last but one
    comes twice, as in the authors' program.

    Args:
        tokens: [B, S + N, D], the class token first.
        special: S.

    Returns:
        [B, LOCAL, 1 + N // LOCAL, D]: the class token, then the patches of a group. Images come
        first, so that the groups of a device's images lie on it.
    """
    patches = jnp.roll(tokens[:, special:], -SHIFT, axis=1)
    batch, total, width = patches.shape
    if total % GROUPS:
        patches = jnp.concatenate([patches, patches[:, -2:-1]], axis=1)
    mixed = patches.reshape(batch, GROUPS, -1, width).swapaxes(1, 2).reshape(batch, -1, width)
    size = total // LOCAL
    groups = [mixed[:, i * size : (i + 1) * size] for i in range(LOCAL)]
    with_class = [jnp.concatenate([tokens[:, :1], group], axis=1) for group in groups]
    return jnp.stack(with_class, axis=1)


class TransReID(Network):
    """A ViT whose last block has a copy for groups of patches from all over the image.

    Features: "before" and "after" the necks [B, (1 + LOCAL) * D], where the local ones count for
    1 / LOCAL. Logits: "global" [B, C], "local" [B, LOCAL, C].
    """

    last_blocks = ("last", "jigsaw_last")

    def setup(self):
        self.backbone = self.build_backbone()
        self.last, self.jigsaw_last = self.build_last_block(), self.build_last_block()
        self.neck, self.local_neck = PartNorm(), PartNorm()
        self.classifier = classifier(self.spec.num_classes)
        self.local_classifier = PartClassifier(self.spec.num_classes)

    @nn.nowrap
    def pieces(self, feature: str) -> dict[str, int]:
        """Returns the pieces of a feature; see Network."""
        groups = {f"jigsaw group {number}": self.width for number in range(1, LOCAL + 1)}
        return {"class token": self.width, **groups}

    def encode(
        self, images: jax.Array, camera_row: jax.Array | None, keys: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the global feature [B, D] and the local ones [B, LOCAL, D]."""
        tokens = self.backbone(images, camera_row, keys)
        groups = jigsaw(tokens, VARIANTS[self.spec.variant].special)
        size = groups.shape[2:]
        group_keys = keys
        if keys is not None:
            group_keys = jnp.stack([fold_each(keys, i) for i in range(LOCAL)], axis=1).ravel()
        local = self.jigsaw_last(groups.reshape(-1, *size), group_keys)[:, 0]
        local = local.reshape(images.shape[0], LOCAL, -1)
        found = self.last(tokens, keys)[:, 0], local
        return tuple(x.astype(jnp.float32) for x in found)

    def heads(self, encoded: tuple[jax.Array, jax.Array], train: bool) -> Outputs:
        """Normalises and classifies the class tokens; see Network."""
        token, local = encoded
        after, local_after = self.neck.whole(token, train), self.local_neck(local, train)
        features = {"before": _joined(token, local), "after": _joined(after, local_after)}
        logits = {"global": self.classifier(after), "local": self.local_classifier(local_after)}
        return Outputs(features, logits, {"global": token, "local": local})


def _joined(token: jax.Array, local: jax.Array) -> jax.Array:
    return jnp.concatenate([token, local.reshape(local.shape[0], -1) / LOCAL], axis=1)
