"""Names that the re-ID programs have for whole networks, as tables read in both directions.

dpeformer: the released program of arXiv 2402.10435. transreid: TransReID's network with its jigsaw
branch (arXiv 2102.04378). baseline: the same program's network without it. clipreid: CLIP-ReID's
image side (arXiv 2211.13977). part_aware: PASS's (arXiv 2203.03931).
"""

from dpeformer_jax.conversion.entries import ROW, Entry, dense, norm, part_norm
from dpeformer_jax.conversion.names import End, clip, part_tokens, timm
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.transreid import LOCAL
from dpeformer_jax.model.variants import VARIANTS, Variant

BASE = "base."  # begins the backbone's names


def dpeformer(variant: Variant, parts: int, sie: bool = False) -> list[Entry]:
    """Lists the whole network; `parts` is 4 in the released program."""
    table = timm(variant, BASE, sie)
    for part in range(parts):
        slot, local = (part,), parts + part
        table += _blending(f"attention_global.{part}", slot)
        table += part_norm(f"bottleneck_local.{part}", "holistic_norm", part)
        table += part_norm(f"bottleneck_local.{local}", "part_norm", part)
        table += dense(f"classifier_local.{local}", "params/part_classifier", False, slot)
    table += dense("classifier1", "params/holistic_classifier", bias=False)
    table += dense("classifier1_4", "params/blended_classifier", bias=False)
    return table + dense("classifier3", "params/global_classifier", bias=False)


def _blending(key: str, slot: tuple) -> list[Entry]:
    ours, block = "params/blending", f"{key}.Block"
    return [
        Entry(f"{key}.pos_embed", f"{ours}/pos_embed", ROW, slot),
        *(e for i in "123" for e in norm(f"{block}.norm{i}", f"{ours}/norm{i}", slot)),
        *dense(f"{block}.attn.q", f"{ours}/q", False, slot),
        *dense(f"{block}.attn.kv", f"{ours}/kv", False, slot),
        *dense(f"{block}.attn.proj", f"{ours}/proj", slot=slot),
        *dense(f"{block}.mlp.fc1", f"{ours}/mlp/fc1", slot=slot),
        *dense(f"{block}.mlp.fc2", f"{ours}/mlp/fc2", slot=slot),
    ]


def baseline(spec: NetworkSpec) -> list[Entry]:
    """Lists TransReID's network without its jigsaw branch."""
    return timm(VARIANTS[spec.variant], BASE, bool(spec.sie_rows)) + _neck()


def transreid(spec: NetworkSpec) -> list[Entry]:
    """Lists TransReID's network with its jigsaw branch, which has a copy of the last block."""
    ends = End("b1.0", "b1.1", "last"), End("b2.0", "b2.1", "jigsaw_last")
    table = timm(VARIANTS[spec.variant], BASE, bool(spec.sie_rows), ends) + _neck()
    for part in range(LOCAL):
        table += part_norm(f"bottleneck_{part + 1}", "local_neck", part)
        table += dense(f"classifier_{part + 1}", "params/local_classifier", False, (part,))
    return table


def clipreid(spec: NetworkSpec) -> list[Entry]:
    """Lists the image side of CLIP-ReID's network."""
    prefix = "image_encoder."
    return [
        *clip(VARIANTS[spec.variant], prefix, "last", bool(spec.sie_rows)),
        Entry(f"{prefix}proj", "params/projection/kernel"),
        *_neck(),
        *part_norm("bottleneck_proj", "projected_neck"),
        *dense("classifier_proj", "params/projected_classifier", bias=False),
    ]


def part_aware(spec: NetworkSpec) -> list[Entry]:
    """Lists PASS's network."""
    variant = VARIANTS[spec.variant]
    table = part_tokens(variant, BASE, bool(spec.sie_rows)) + _neck()
    if spec.token_necks:
        for token in range(1, variant.special):
            table += part_norm(f"bottleneck_{token}", "neck", token)
    return table


def _neck() -> list[Entry]:
    return part_norm("bottleneck", "neck") + dense("classifier", "params/classifier", bias=False)
