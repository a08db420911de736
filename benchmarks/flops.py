"""Counts the work of a ViT, for the share of a machine's peak that a program reaches."""

from benchmarks.setting import Setting


def forward_flops(setting: Setting) -> int:
    """Of the backbone on one image: its matrix products, a multiply-add as two.

    Softmax, GELU and norms are left out: 0.3 % of a ViT-B.
    """
    size, tokens = setting.backbone, 1 + setting.patches
    width = size.width
    embedding = setting.patches * (3 * size.patch**2) * width
    projections = tokens * width * (3 + 1 + 4 + 4) * width  # qkv, proj, fc1, fc2
    attention = 2 * tokens**2 * width  # logits and their weighted sum
    return 2 * (embedding + size.depth * (projections + attention))
