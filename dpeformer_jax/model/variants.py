"""The sizes and styles of backbones, by name, and the geometry of their patches."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Variant:
    """Size of a backbone, and how it differs from timm's ViT. The MLP is four times as wide.

    width: of the tokens; patch: in pixels.
    special: tokens in front of the patches: the class token, and those that PASS adds.
    pre_norm: whether a norm follows the position embedding, as in CLIP.
    activation: of the MLP, a name of layers.ACTIVATIONS.
    epsilon: of the norms; patch_bias: whether the patch embedding has one.
    layer_scale: whether a learned factor a channel scales each residual branch, as in DINOv2.
    """

    width: int
    depth: int
    heads: int
    patch: int
    special: int = 1
    pre_norm: bool = False
    activation: str = "gelu"
    epsilon: float = 1e-6
    patch_bias: bool = True
    layer_scale: bool = False


CLIP = {"pre_norm": True, "activation": "quick_gelu", "epsilon": 1e-5, "patch_bias": False}
VARIANTS = {
    "b16": Variant(width=768, depth=12, heads=12, patch=16),
    "s16": Variant(width=384, depth=12, heads=6, patch=16),
    "ti16": Variant(width=192, depth=12, heads=3, patch=16),
    "l16": Variant(width=1024, depth=24, heads=16, patch=16),
    "b32": Variant(width=768, depth=12, heads=12, patch=32),
    "s32": Variant(width=384, depth=12, heads=6, patch=32),
    "l32": Variant(width=1024, depth=24, heads=16, patch=32),
    "b8": Variant(width=768, depth=12, heads=12, patch=8),
    "s8": Variant(width=384, depth=12, heads=6, patch=8),
    "h14": Variant(width=1280, depth=32, heads=16, patch=14),
    # CLIP's image encoder (arXiv 2103.00020): OpenAI's, and open_clip's with the exact GELU.
    "clip_b16": Variant(width=768, depth=12, heads=12, patch=16, **CLIP),
    "clip_l14": Variant(width=1024, depth=24, heads=16, patch=14, **CLIP),
    "openclip_b16": Variant(768, 12, 12, 16, **CLIP | {"activation": "gelu"}),
    "openclip_l14": Variant(1024, 24, 16, 14, **CLIP | {"activation": "gelu"}),
    # DINOv2 (arXiv 2304.07193).
    "dinov2_s14": Variant(width=384, depth=12, heads=6, patch=14, layer_scale=True),
    "dinov2_b14": Variant(width=768, depth=12, heads=12, patch=14, layer_scale=True),
    "dinov2_l14": Variant(width=1024, depth=24, heads=16, patch=14, layer_scale=True),
    # PASS (arXiv 2203.03931), with three part tokens.
    "pass_b16": Variant(width=768, depth=12, heads=12, patch=16, special=4),
    "pass_s16": Variant(width=384, depth=12, heads=6, patch=16, special=4),
    # For trials on a CPU.
    "nano8": Variant(width=64, depth=2, heads=4, patch=8),
    "clip_nano8": Variant(width=64, depth=2, heads=4, patch=8, **CLIP),
    "pass_nano8": Variant(width=64, depth=2, heads=4, patch=8, special=4),
    "mu": Variant(width=32, depth=2, heads=2, patch=16),
}


def patch_grid(image_size: tuple[int, int], patch: int, stride: int) -> tuple[int, int]:
    """Returns rows and columns of patches on an image of (height, width) pixels without padding."""
    height, width = image_size
    return (height - patch) // stride + 1, (width - patch) // stride + 1
