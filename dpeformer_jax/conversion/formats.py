"""Tells which program wrote a file's arrays, and which network they are of."""

import dataclasses
import math
import re
from typing import NamedTuple

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.conversion import names
from dpeformer_jax.conversion.mapping import Arrays
from dpeformer_jax.conversion.names import Entry
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.vit import VARIANTS, patch_grid

AUTO = "auto"  # in place of a format: finds it out
MEMORY = "memory"  # format of a memory file, and name of its one array
# Image sizes (height, width) of the field, for which a number of overlapping patches is looked up.
SIZES = ((256, 128), (384, 128), (256, 256), (384, 192), (384, 384))
SMALLEST_STRIDE = 8
JIGSAW = "b1.0.norm1.weight"  # only TransReID with its jigsaw branch has this name
BLOCK = re.compile(r"(?:(?:base\.)?blocks\.|Transformer/encoderblock_)(\d+)[./]")


class Format(NamedTuple):
    """One program's names.

    mark: name that no format after this one in FORMATS has; unused: regular expression for the
    start of names that may be left over: heads, and modules that no forward pass reaches.
    """

    mark: str
    unused: str


# In the order in which `detect` tries them.
FORMATS = {
    "vit_jax": Format("embedding/kernel", r"(head|pre_logits)/"),
    "dpeformer": Format(
        "attention_global.0.pos_embed",
        r"base\.fc\.|b2\.|REM_zx\.|ffn\d\.|classifier|bottleneck_|"
        r"attention_global\.\d+\.(param|norm\d\.|attn\.|Block\.attn\.param)",
    ),
    "transreid": Format("base.patch_embed.proj.weight", r"base\.fc\.|b\d\.|classifier|bottleneck"),
    "timm": Format("patch_embed.proj.weight", r"(head|head_dist|pre_logits|fc)\.|dist_token$"),
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


def spec_of(theirs: Arrays, kind: str) -> NetworkSpec:
    """Defines the network by the names and shapes of its arrays.

    What these do not tell keeps its default; no format names the cameras. Raises UserError where
    an essential array is missing, no variant has this size, or no image size of the field gives
    this many patches.
    """
    table = table_of(kind, NetworkSpec("mu", (256, 128), 16, 1))  # any size: these names are alike
    entries = {entry.path.removeprefix("params/backbone/"): entry for entry in table}
    kernel, positions = entries["patch_embed/kernel"], entries["pos_embed"]
    for name, rank in ((kernel.key, 4), (positions.key, 3)):
        if name not in theirs or theirs[name].ndim != rank:
            found = theirs[name].shape if name in theirs else "missing"
            raise UserError(f"{name} is {found}; in {kind} it is an array of rank {rank}")
    variant = _variant(theirs, kernel.transform.ours(theirs[kernel.key]))
    patches, square = theirs[positions.key].shape[1] - 1, kind in ("timm", "vit_jax")
    size, stride = _image_size(patches, VARIANTS[variant].patch, square)
    parts = sum(bool(re.match(r"attention_global\.\d+\.pos_embed$", name)) for name in theirs)
    classifier = theirs.get("classifier1.weight") if kind == "dpeformer" else None
    spec = NetworkSpec(
        variant,
        size,
        stride,
        num_classes=1 if classifier is None else len(classifier),
        parts=parts or NetworkSpec.parts,
        sie_rows=len(theirs.get("base.sie_embed", ())),
    )
    return dataclasses.replace(spec, min_patches=min(spec.min_patches, math.prod(spec.grid)))


def _variant(theirs: Arrays, kernel: np.ndarray) -> str:
    """Returns the variant that has the kernel [P, P, 3, D] of the patch embedding and the depth."""
    depth = 1 + max((int(block[1]) for block in map(BLOCK.match, theirs) if block), default=-1)
    found = (kernel.shape[-1], depth, kernel.shape[0])
    sizes = {name: (size.width, size.depth, size.patch) for name, size in VARIANTS.items()}

    def distance(name: str) -> float:
        return np.abs(np.log1p(sizes[name]) - np.log1p(found)).sum()

    nearest = min(sizes, key=distance)
    if sizes[nearest] == found:
        return nearest
    words = "width {}, depth {}, patch {}"
    raise UserError(
        f"{words.format(*found)} is no variant known here; it looks like {nearest!r}, which has "
        f"{words.format(*sizes[nearest])}"
    )


def _image_size(patches: int, patch: int, square: bool) -> tuple[tuple[int, int], int]:
    """Returns the (height, width) and the stride in pixels that give this many patches."""
    if patch == 16 and not square:
        for size in SIZES:
            for stride in range(patch, SMALLEST_STRIDE - 1, -1):
                if math.prod(patch_grid(size, patch, stride)) == patches:
                    return size, stride
    for ratio in (1, 2, 3):  # of height to width; the patches do not overlap
        columns = math.isqrt(patches // ratio)
        if ratio * columns**2 == patches and columns:
            return (ratio * columns * patch, columns * patch), patch
    raise UserError(f"its positions are of {patches} patches, which is no image size of the field")


def table_of(kind: str, spec: NetworkSpec, theirs: Arrays | None = None) -> list[Entry]:
    """Returns a format's table for a network; the arrays of a source tell its variation."""
    variant, sie = VARIANTS[spec.variant], bool(spec.sie_rows)
    if kind == "vit_jax":
        return names.vit_jax(variant)
    if kind == "dpeformer":
        return names.dpeformer(variant, spec.parts, sie)
    if kind == "timm":
        return names.timm(variant)
    return names.timm(variant, "base.", sie, last="b1" if JIGSAW in (theirs or {}) else "")


def unused_of(kind: str, spec: NetworkSpec, theirs: Arrays) -> str:
    """Returns a regular expression for the start of names that may be left over."""
    unused = FORMATS[kind].unused
    if kind == "transreid" and JIGSAW in theirs:  # which trains copies of these
        last = VARIANTS[spec.variant].depth - 1
        unused += rf"|base\.norm\.|base\.blocks\.{last}\."
    return unused
