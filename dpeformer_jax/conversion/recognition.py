"""Defines the network of a file by the names and shapes of its arrays."""

import dataclasses
import math
import re
from typing import Any

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.conversion.formats import FORMATS
from dpeformer_jax.conversion.mapping import Arrays
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS, patch_grid

# Image sizes (height, width) of the field, for which a number of overlapping patches is looked up.
SIZES = ((256, 128), (384, 128), (256, 256), (384, 192), (384, 384))
SMALLEST_STRIDE = 8
JIGSAW = "b1.0.norm1.weight"  # only TransReID with its jigsaw branch has this name
BLOCK = re.compile(
    r"(?:(?:base\.)?blocks\.|Transformer/encoderblock_"
    r"|(?:image_encoder|visual)\.transformer\.resblocks\.)(\d+)[./]"
)


def spec_of(
    theirs: Arrays,
    kind: str,
    variant: str | None = None,
    image_size: tuple[int, int] | None = None,
) -> NetworkSpec:
    """Defines the network by the names and shapes of its arrays.

    What these do not tell keeps its default; no format names the cameras.

    variant: of the backbone; None for the only one, or the usual one, that fits.
    image_size: (height, width) in pixels; None for the usual one that gives this many patches.

    Raises UserError where an essential array is missing, no variant fits, or the image size (none
    of the field's, if it is not given) does not give this many patches.
    """
    form = FORMATS[kind]
    kernel = _required(theirs, kind, form.kernel, rank=4)
    rank = 2 if kind in ("clip", "open_clip", "clipreid") else 3
    positions = _required(theirs, kind, form.positions, rank)
    name = _variant(theirs, kind, kernel, variant)
    patches = positions.shape[-2] - form.special
    size, stride = _size_and_stride(patches, VARIANTS[name].patch, form.square, image_size)
    published = 1.0 if kind == "clipreid" else NetworkSpec.sie_coefficient
    fields = {"family": form.family, "sie_coefficient": published} | _heads_of(
        theirs, kind, VARIANTS[name].width
    )
    cameras = theirs.get("base.sie_embed", theirs.get("cv_embed", ()))
    rows = len(cameras) if np.ndim(cameras) else 0
    spec = NetworkSpec(name, size, stride, _classes(theirs, kind), sie_rows=rows, **fields)
    return dataclasses.replace(spec, min_patches=min(spec.min_patches, math.prod(spec.grid)))


def _required(theirs: Arrays, kind: str, name: str, rank: int) -> np.ndarray:
    if name not in theirs or theirs[name].ndim != rank:
        found = theirs[name].shape if name in theirs else "missing"
        raise UserError(f"{name} is {found}; in {kind} it is an array of rank {rank}")
    return theirs[name]


def _classes(theirs: Arrays, kind: str) -> int:
    classifier = theirs.get("classifier1.weight" if kind == "dpeformer" else "classifier.weight")
    return 1 if classifier is None or not classifier.ndim else len(classifier)


def _heads_of(theirs: Arrays, kind: str, width: int) -> dict[str, Any]:
    """Returns the fields of the spec that a format's heads show."""
    if kind == "dpeformer":
        parts = sum(bool(re.match(r"attention_global\.\d+\.pos_embed$", x)) for x in theirs)
        return {"parts": parts or NetworkSpec.parts}
    if kind == "transreid" and JIGSAW in theirs:
        return {"family": "transreid"}
    if kind == "pass_reid":
        inputs = np.shape(theirs.get("classifier.weight"))[-1:]
        fusion = "mean" if inputs == (width,) else "cat"
        return {"fusion": fusion, "token_necks": "bottleneck_1.weight" in theirs}
    projection = theirs.get("image_encoder.proj", theirs.get("visual.proj"))
    return {} if np.ndim(projection) != 2 else {"projection": projection.shape[1]}


def _variant(theirs: Arrays, kind: str, kernel: np.ndarray, chosen: str | None) -> str:
    """Returns the variant that has the kernel of the patch embedding, the depth and the style.

    Where no variant of the size has the style that the names show, returns the one without it; the
    names that show it are then left over, and mapping.compare lists them.
    """
    form, found = FORMATS[kind], _size_and_style(theirs, kind, kernel)
    plain = found | {"pre_norm": form.pre_norm, "layer_scale": False}
    known = {name: {x: getattr(size, x) for x in found} for name, size in VARIANTS.items()}
    fitting = [x for x in known if known[x] == found] or [x for x in known if known[x] == plain]
    if chosen in fitting:
        return chosen
    if chosen is not None:
        raise UserError(
            f"--variant={chosen} has {_told(known[chosen])}; the file's backbone has {_told(found)}"
        )
    usual = [x for x in fitting if form.activation in (None, VARIANTS[x].activation)]
    if len(usual) == 1:
        return usual[0]
    if usual:
        raise UserError(
            f"{_told(found)} is {' or '.join(usual)}, which differ in what a file does not tell; "
            "choose one by --variant"
        )
    nearest = min(known, key=lambda name: _distance(known[name], found))
    raise UserError(
        f"{_told(found)} is no variant known here; it looks like {nearest!r}, which has "
        f"{_told(known[nearest])}"
    )


def _size_and_style(theirs: Arrays, kind: str, kernel: np.ndarray) -> dict[str, int | bool]:
    """Returns the fields of Variant that the names and the kernel of the patch embedding show."""
    form = FORMATS[kind]
    prefix = form.kernel.removesuffix("patch_embed.proj.weight")
    width, patch = (kernel.shape[3], kernel.shape[0]) if kind == "vit_jax" else kernel.shape[::3]
    blocks = [int(block[1]) for block in map(BLOCK.match, theirs) if block]
    return {
        "width": width,
        "depth": 1 + max(blocks, default=-1),
        "patch": patch,
        "special": 1 + sum(bool(re.match(r"(base\.)?part_token\d+$", name)) for name in theirs),
        "pre_norm": form.pre_norm or f"{prefix}norm_pre.weight" in theirs,
        "layer_scale": f"{prefix}blocks.0.ls1.gamma" in theirs,
    }


def _distance(size: dict[str, int | bool], other: dict[str, int | bool]) -> float:
    sizes = ([float(x) for x in of.values()] for of in (size, other))
    return np.abs(np.subtract(*map(np.log1p, sizes))).sum()


def _told(size: dict[str, int | bool]) -> str:
    """Names the size, and in which way the variant is not timm's usual ViT."""
    styles = {"pre_norm": "a norm before the blocks", "layer_scale": "LayerScale"}
    others = [words for name, words in styles.items() if size[name]]
    if size["special"] > 1:
        others.append(f"{size['special']} special tokens")
    return ", ".join([*(f"{x} {size[x]}" for x in ("width", "depth", "patch")), *others])


def _size_and_stride(
    patches: int, patch: int, square: bool, given: tuple[int, int] | None
) -> tuple[tuple[int, int], int]:
    """Returns the (height, width) and the stride in pixels that give this many patches."""
    if given is not None:
        for stride in range(patch, 0, -1):
            if math.prod(patch_grid(given, patch, stride)) == patches:
                return given, stride
        size = "x".join(map(str, given))
        raise UserError(f"--image-size={size} gives the file's {patches} patches at no stride")
    if patch == 16 and not square:
        for size in SIZES:
            for stride in range(patch, SMALLEST_STRIDE - 1, -1):
                if math.prod(patch_grid(size, patch, stride)) == patches:
                    return size, stride
    for ratio in (1, 2, 3):  # of height to width; the patches do not overlap
        columns = math.isqrt(patches // ratio)
        if ratio * columns**2 == patches and columns:
            return (ratio * columns * patch, columns * patch), patch
    raise UserError(
        f"its positions are of {patches} patches, which is no image size of the field; give its "
        "--image-size"
    )
