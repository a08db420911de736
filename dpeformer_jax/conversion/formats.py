"""Which program wrote an array collection, and which network it is of."""

import dataclasses
import math
import re

from dpeformer_jax.conversion import names
from dpeformer_jax.conversion.mapping import Arrays
from dpeformer_jax.conversion.names import Entry
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.model.description import PRESETS, Description
from dpeformer_jax.model.vit import VARIANTS, patch_grid

# Image sizes (height, width) of the field, tried for the grids of overlapping patches.
SIZES = ((256, 128), (384, 128), (256, 256), (384, 192), (384, 384))
SMALLEST_STRIDE = 8
JIGSAW = "b1.0.norm1.weight"  # TransReID's jigsaw branch


@dataclasses.dataclass(frozen=True)
class Format:
    """How one program names things.

    mark: a name that only it has.
    patches, positions: names of the patch and of the position embedding.
    blocks: regular expression that finds a block's number.
    unused: one for what may be left over, heads and modules that no forward pass reaches.
    layout: of the patch embedding's kernel.
    """

    mark: str
    patches: str
    positions: str
    blocks: str
    unused: str
    layout: names.Transform = names.CONV


def _torch(prefix: str, mark: str, unused: str) -> Format:
    return Format(
        mark=mark,
        patches=f"{prefix}patch_embed.proj.weight",
        positions=f"{prefix}pos_embed",
        blocks=re.escape(prefix) + r"blocks\.(\d+)\.",
        unused=unused,
    )


# In the order in which they are looked for.
FORMATS = {
    "vit_jax": Format(
        mark="embedding/kernel",
        patches="embedding/kernel",
        positions="Transformer/posembed_input/pos_embedding",
        blocks=r"Transformer/encoderblock_(\d+)/",
        unused=r"(head|pre_logits)/",
        layout=names.SAME,
    ),
    "dpeformer": _torch(
        "base.",
        "attention_global.0.pos_embed",
        r"base\.fc\.|b2\.|REM_zx\.|ffn\d\.|classifier|bottleneck_|"
        r"attention_global\.\d+\.(param|norm\d\.|attn\.|Block\.attn\.param)",
    ),
    "transreid": _torch(
        "base.",
        "base.patch_embed.proj.weight",
        r"base\.fc\.|b\d\.|classifier|bottleneck",
    ),
    "timm": _torch("", "patch_embed.proj.weight", r"(head|head_dist|pre_logits|fc)\.|dist_token$"),
}


def detect(theirs: Arrays) -> str:
    """The name of the format.

    Raises:
        ConfigError: it is none of them.
    """
    for name, known in FORMATS.items():
        if known.mark in theirs:
            return name
    first = ", ".join(list(theirs)[:5])
    raise ConfigError(
        f"no known format: none of {', '.join(f.mark for f in FORMATS.values())} is among its "
        f"{len(theirs)} names, which begin with {first or '(nothing)'}"
    )


def describe(theirs: Arrays, kind: str) -> Description:
    """The network in words, from names and shapes; what those do not tell has its default.

    Raises:
        ConfigError: an essential array is missing, no variant has this size, or no image size of
            the field gives this many patches.
    """
    known = FORMATS[kind]
    for name, rank in ((known.patches, 4), (known.positions, 3)):
        if name not in theirs or theirs[name].ndim != rank:
            found = theirs[name].shape if name in theirs else "missing"
            raise ConfigError(f"{name} is {found}; in {kind} it is an array of rank {rank}")
    variant = _variant(theirs, known)
    positions = theirs[known.positions]
    size, stride = _image_size(
        positions.shape[1] - 1, VARIANTS[variant].patch, square=kind in ("timm", "vit_jax")
    )
    heads = [re.match(r"attention_global\.(\d+)\.pos_embed$", key) for key in theirs]
    parts = sum(head is not None for head in heads) or 4
    classifier, sides = theirs.get("classifier1.weight"), theirs.get("base.sie_embed")
    rows, columns = patch_grid(size, VARIANTS[variant].patch, stride)
    return {
        "variant": variant,
        "image_size": list(size),
        "dtype": "float32",
        "stride": stride,
        "num_classes": 1 if kind != "dpeformer" or classifier is None else len(classifier),
        "parts": parts,
        "min_patches": min(24, rows * columns),
        "sides": 0 if sides is None else len(sides),
        "side_coefficient": 3.0,
        **PRESETS["paper"],
    }


def _variant(theirs: Arrays, known: Format) -> str:
    kernel = known.layout.ours(theirs[known.patches])
    patch, width = kernel.shape[0], kernel.shape[-1]
    blocks = [re.match(known.blocks, name) for name in theirs]
    depth = 1 + max((int(block[1]) for block in blocks if block), default=-1)
    for name, size in VARIANTS.items():
        if (size.width, size.depth, size.patch) == (width, depth, patch):
            return name

    def distance(name: str) -> float:
        size = VARIANTS[name]
        pairs = ((size.width, width), (size.depth, depth), (size.patch, patch))
        return sum(abs(math.log(a / max(b, 0.5))) for a, b in pairs)

    nearest = min(VARIANTS, key=distance)
    size = VARIANTS[nearest]
    raise ConfigError(
        f"width {width}, depth {depth}, patch {patch} is no variant known here; it looks like "
        f"{nearest!r}, which has width {size.width}, depth {size.depth}, patch {size.patch}"
    )


def _image_size(patches: int, patch: int, square: bool) -> tuple[tuple[int, int], int]:
    """(height, width) and stride in pixels that give so many patches."""
    if patch == 16 and not square:
        for size in SIZES:
            for stride in range(patch, SMALLEST_STRIDE - 1, -1):
                if math.prod(patch_grid(size, patch, stride)) == patches:
                    return size, stride
    for ratio in (1, 2, 3):  # of height to width, patches side by side
        columns = math.isqrt(patches // ratio)
        if ratio * columns**2 == patches and columns:
            return (ratio * columns * patch, columns * patch), patch
    raise ConfigError(
        f"its position embedding is of {patches} patches, which is no image size of the field"
    )


def table_of(kind: str, model: Description, theirs: Arrays | None = None) -> list[Entry]:
    """The table of a format for a network; `theirs` tells variations of the source."""
    variant, sides = VARIANTS[model["variant"]], bool(model["sides"])
    if kind == "vit_jax":
        return names.vit_jax(variant)
    if kind == "dpeformer":
        return names.dpeformer(variant, model["parts"], sides)
    if kind == "timm":
        return names.timm(variant)
    return names.timm(variant, "base.", sides, last="b1" if JIGSAW in (theirs or {}) else "")


def unused_of(kind: str, model: Description, theirs: Arrays) -> str:
    """Regular expression for the start of names that may be left over."""
    unused = FORMATS[kind].unused
    if kind == "transreid" and JIGSAW in theirs:  # the originals of the copies that it trains
        last = VARIANTS[model["variant"]].depth - 1
        unused += rf"|base\.norm\.|base\.blocks\.{last}\."
    return unused
