"""The programs whose files are known: how to tell them, and under which names their arrays are."""

from typing import NamedTuple

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.conversion import names, network_names
from dpeformer_jax.conversion.entries import Entry
from dpeformer_jax.conversion.mapping import Arrays
from dpeformer_jax.conversion.names import End
from dpeformer_jax.model.families import FAMILIES
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS

AUTO = "auto"  # in place of a format: finds it out
MEMORY = "memory"  # format of a memory file, and name of its one array


class Format(NamedTuple):
    """One program's names.

    mark: name that no format after this one in FORMATS has.
    kernel, positions: names of the patch embedding's kernel and of the position embedding.
    unused: regular expression for the start of names that may be left over: heads, and modules that
        no forward pass reaches.
    family: of the network; a file may hold its backbone alone.
    special: rows of the position embedding that are of no patch.
    square: whether its images are square rather than a person's.
    pre_norm, activation: see Variant; no name shows CLIP's. Without an activation, a backbone that
    exists with either is the user's choice.
    """

    mark: str
    kernel: str
    positions: str
    unused: str
    family: str = "dpeformer"
    special: int = 1
    square: bool = False
    pre_norm: bool = False
    activation: str | None = "gelu"


RE_ID = "base.patch_embed.proj.weight", "base.pos_embed"
TIMM = "patch_embed.proj.weight", "pos_embed"
CLIP = "visual.conv1.weight", "visual.positional_embedding"
CLIP_REID = "image_encoder.conv1.weight", "image_encoder.positional_embedding"
GOOGLE = "embedding/kernel", "Transformer/posembed_input/pos_embedding"
COUNTERS = r"bottleneck\w*\.num_batches_tracked"
HEADS = r"(head|head_dist|pre_logits|fc)\.|dist_token$|mask_token$|decoder_"
# In the order in which `detect` tries them.
FORMATS = {
    "vit_jax": Format(GOOGLE[0], *GOOGLE, r"(head|pre_logits)/", square=True),
    "dpeformer": Format(
        "attention_global.0.pos_embed",
        *RE_ID,
        r"base\.fc\.|b2\.|REM_zx\.|ffn\d\.|classifier|bottleneck_|"
        r"attention_global\.\d+\.(param|norm\d\.|attn\.|Block\.attn\.param)",
        activation=None,
    ),
    "pass_reid": Format(
        "base.part_token1", *RE_ID, rf"base\.(fc|gem)\.|{COUNTERS}", "pass", special=0
    ),
    "transreid": Format(
        RE_ID[0], *RE_ID, rf"base\.(fc|gem)\.|{COUNTERS}", "baseline", activation=None
    ),
    "clipreid": Format(
        CLIP_REID[0],
        *CLIP_REID,
        rf"prompt_learner\.|text_encoder\.|{COUNTERS}",
        "clipreid",
        pre_norm=True,
        activation="quick_gelu",
    ),
    "clip": Format(  # OpenAI's own archives
        "input_resolution",
        *CLIP,
        r"(?!visual\.)",  # its text encoder
        "clipreid",
        square=True,
        pre_norm=True,
        activation="quick_gelu",
    ),
    "open_clip": Format(CLIP[0], *CLIP, r"(?!visual\.)", "clipreid", square=True, pre_norm=True),
    "pass": Format("part_token1", *TIMM, HEADS, "pass", special=0, square=True),
    "timm": Format(TIMM[0], *TIMM, HEADS, square=True),
}
# The format that a whole network of each family goes to torch in.
OF_FAMILY = {
    "dpeformer": "dpeformer",
    "baseline": "transreid",
    "transreid": "transreid",
    "clipreid": "clipreid",
    "pass": "pass_reid",
}


def detect(theirs: Arrays) -> str:
    """Returns the name of the arrays' format; raises UserError where it is none of FORMATS."""
    for name, known in FORMATS.items():
        if known.mark in theirs:
            return name
    first = ", ".join(list(theirs)[:5])
    raise UserError(
        f"no known format: none of {', '.join(f.mark for f in FORMATS.values())} is among its "
        f"{len(theirs)} names, which begin with {first or '(nothing)'}"
    )


def target_of(kind: str, spec: NetworkSpec, complete: bool) -> str:
    """Returns the format that a network goes to torch in; AUTO takes the one that suits it.

    complete: whether it is more than a backbone.

    Raises UserError where the format has no names for the network.
    """
    variant, whole = VARIANTS[spec.variant], OF_FAMILY[spec.family] if complete else None
    if whole == "clipreid" and not variant.pre_norm:
        whole = None  # CLIP's names have no room for the bias of another encoder's patches
    backbone = "pass" if variant.special > 1 else "timm"
    if variant.pre_norm and not complete:
        backbone = "clip" if variant.activation == "quick_gelu" else "open_clip"
    suiting = list(dict.fromkeys(x for x in (whole, backbone, "timm") if x))
    if kind == AUTO and (whole or not complete):
        return suiting[0]
    if kind not in suiting:
        names = "the names of its family's program" if kind == AUTO else f"the names of {kind}"
        raise UserError(
            f"a network of the family {spec.family!r} (variant {spec.variant!r}) cannot be "
            f"written with {names}; --format can be {' or '.join(suiting)}"
        )
    return kind


def table_of(kind: str, spec: NetworkSpec) -> list[Entry]:
    """Returns a format's table for a network."""
    variant, sie = VARIANTS[spec.variant], bool(spec.sie_rows)
    module = (*FAMILIES[spec.family].last_blocks, "backbone")[0]
    end = End(f"blocks.{variant.depth - 1}", "norm", module)
    if kind in ("clip", "open_clip"):
        projection = Entry("visual.proj", "params/projection/kernel")
        projections = [projection] if spec.family == "clipreid" else []
        return names.clip(variant, "visual.", module) + projections
    if kind == "transreid":
        jigsaw = spec.family == "transreid"
        return network_names.transreid(spec) if jigsaw else network_names.baseline(spec)
    tables = {
        "vit_jax": lambda: names.vit_jax(variant),
        "timm": lambda: names.timm(variant, ends=[end]),
        "pass": lambda: names.part_tokens(variant, ends=[end]),
        "dpeformer": lambda: network_names.dpeformer(variant, spec.parts, sie),
        "clipreid": lambda: network_names.clipreid(spec),
        "pass_reid": lambda: network_names.part_aware(spec),
    }
    return tables[kind]()


def copies_of(kind: str, spec: NetworkSpec) -> list[Entry]:
    """Returns names under which arrays of the table are written once more.

    TransReID's trunk keeps the block that its branches began as, and nobody reads it; by its number
    one knows the depth.
    """
    if kind != "transreid" or spec.family != "transreid":
        return []
    variant = VARIANTS[spec.variant]
    return names.vit_end(variant, End(f"base.blocks.{variant.depth - 1}", "base.norm", "last"))


def unused_of(kind: str, spec: NetworkSpec) -> str:
    """Returns a regular expression for the start of names that may be left over."""
    unused = FORMATS[kind].unused
    if spec.family == "transreid":  # which trains copies of these
        last = VARIANTS[spec.variant].depth - 1
        unused += rf"|base\.norm\.|base\.blocks\.{last}\."
    return unused
