"""Counts the FLOPs of a ViT, to compare a program's speed with the machine's peak."""

from benchmarks.setting import Setting


def forward_flops(setting: Setting) -> int:
    """Returns the FLOPs of the backbone's matrix products on one image; a multiply-add is two.

    Softmax, GELU and norms are left out. They are 0.3 % of a ViT-B.
    """
    size, tokens = setting.backbone, 1 + setting.patches
    width = size.width
    embedding = setting.patches * (3 * size.patch**2) * width
    projections = tokens * width * (3 + 1 + 4 + 4) * width  # qkv, proj, fc1, fc2
    attention = 2 * tokens**2 * width  # logits and their weighted sum
    return 2 * (embedding + size.depth * (projections + attention))
