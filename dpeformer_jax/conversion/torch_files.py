"""All that needs torch: its files, and timm's networks. Nothing else in the package imports torch.

A file is data: nothing in it is run.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.pretrained import POSITIONS, SIE, plain_backbone
from dpeformer_jax.checkpoint.weights import Weights
from dpeformer_jax.conversion import torchscript
from dpeformer_jax.conversion.formats import FORMATS, MEMORY
from dpeformer_jax.conversion.mapping import Arrays, to_theirs
from dpeformer_jax.conversion.names import timm
from dpeformer_jax.model.families import FAMILIES
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.model.vit import VisionTransformer

WRAPPERS = ("model", "state_dict", "teacher")
PREFIXES = re.compile(r"^(module\.|backbone\.)*")  # of several GPUs, and of a trained teacher
BACKBONE = "params/backbone/", "params/last/"  # begin the paths of its arrays
IMAGES = 2  # that `verify` compares
TOLERANCE = 1e-4  # of the largest token value; float32 differs by about 1e-6


def read(source: Path) -> Arrays:
    """Reads all tensors of a torch or safetensors file as float32, by name.

    A state_dict may lie under one of WRAPPERS, and its names may begin with PREFIXES. The one
    tensor of a memory file gets the name MEMORY. Raises UserError where the file is no checkpoint,
    is damaged, or could run code.
    """
    if torchscript.is_torchscript(source):
        return _torchscript(source)
    found = _safetensors(source) if source.suffix == ".safetensors" else _torch_file(source)
    if not isinstance(found, Mapping):
        found = {MEMORY: found}
    while wrapped := [x for x in map(found.get, WRAPPERS) if isinstance(x, Mapping)]:
        found = wrapped[0]
    for name, tensor in found.items():
        plain = hasattr(tensor, "detach") and str(tensor.layout) == "torch.strided"
        if not isinstance(name, str) or not plain or tensor.is_complex():
            raise UserError(
                f"{source}: {name!r} is a {type(tensor).__name__} and no named tensor of real "
                f"numbers; expected a state_dict, alone or under {' or '.join(map(repr, WRAPPERS))}"
            )
    return {PREFIXES.sub("", name): x.detach().float().numpy() for name, x in found.items()}


def write(target: Path, arrays: Arrays, suffix: str) -> None:
    """Writes a state_dict, or the one tensor of a memory file, in the format of the suffix."""
    torch = _torch()
    from safetensors.numpy import save

    with target.open("wb") as file:
        if suffix == ".safetensors":
            file.write(save(arrays))
        else:
            tensors = _tensors(torch, arrays)
            torch.save(tensors.get(MEMORY, tensors), file)


def verify(weights: Weights, tell: Callable[[str], None]) -> None:
    """Tells the largest difference between our backbone's tokens and timm's on random images.

    Raises UserError where the backbone is not whole, timm is not installed, or the difference is
    above TOLERANCE.
    """
    spec = weights.spec
    if spec is None or any(name.startswith(BACKBONE) for name in weights.missing):
        raise UserError("--verify needs a whole backbone; leave it out")
    shape = (IMAGES, *spec.image_size, 3)
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    flat = plain_backbone(flatten_dict(weights.variables, sep="/"), spec)
    on = FAMILIES[spec.family].sie_on
    cameras = {"sie_rows": spec.sie_rows, "sie_coefficient": spec.sie_coefficient, "sie_on": on}
    ours = VisionTransformer(VARIANTS[spec.variant], spec.stride, **cameras)
    params = unflatten_dict(flat, sep="/")["params"]["backbone"]
    with jax.default_matmul_precision("highest"):
        tokens = jax.jit(ours.apply)({"params": params}, images, np.zeros(IMAGES, np.int32))
    if spec.sie_rows:  # timm knows no cameras: all images are from the first
        reached = np.s_[:, :1] if on == "class" else np.s_[:]
        flat[POSITIONS] = np.array(flat[POSITIONS])
        flat[POSITIONS][reached] += spec.sie_coefficient * np.asarray(flat[SIE][0])
    expected = _timm_tokens(to_theirs(flat, timm(VARIANTS[spec.variant])), spec, images)
    difference = np.abs(np.asarray(tokens) - expected).max()
    tell(f"largest difference from timm's tokens: {difference:.1e}")
    if not difference <= TOLERANCE * np.abs(expected).max():
        raise UserError("the tokens are not those of timm; nothing was written")


def _timm_tokens(state: Arrays, spec: NetworkSpec, images: np.ndarray) -> np.ndarray:
    """Computes the tokens [B, S + N, D] of images [B, H, W, 3] by timm, in float32."""
    torch = _torch()
    try:
        from timm.layers import QuickGELU
        from timm.models.vision_transformer import VisionTransformer
    except ImportError as error:
        raise UserError("--verify needs timm: pip install timm") from error
    size = VARIANTS[spec.variant]
    network = VisionTransformer(
        spec.image_size,
        size.patch,
        num_classes=0,
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        reg_tokens=size.special - 1,
        pre_norm=size.pre_norm,
        init_values=1.0 if size.layer_scale else None,
        norm_layer=partial(torch.nn.LayerNorm, eps=size.epsilon),
        act_layer={"gelu": torch.nn.GELU, "quick_gelu": QuickGELU}[size.activation],
    )
    network.patch_embed.proj.stride = (spec.stride, spec.stride)
    tensors = _tensors(torch, state)
    network.pos_embed = torch.nn.Parameter(tensors["pos_embed"])
    network.load_state_dict(tensors)
    with torch.inference_mode():
        pixels = torch.from_numpy(images.transpose(0, 3, 1, 2))
        return network.eval().forward_features(pixels).numpy()


def _torch() -> ModuleType:
    try:
        import safetensors  # noqa: F401
        import torch
    except ImportError as error:
        raise UserError(
            "torch files need torch and safetensors: pip install -e '.[convert]'"
        ) from error
    return torch


def _tensors(torch: ModuleType, arrays: Arrays) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _safetensors(source: Path) -> Mapping[str, Any]:
    _torch()
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(source)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{source} is not a whole safetensors file: {error}") from error


def _torchscript(source: Path) -> Arrays:
    arrays = {name: x.astype(np.float32) for name, x in torchscript.read(source).items()}
    clip = FORMATS["clip"]
    if clip.kernel in arrays:  # OpenAI alone publishes CLIP in this form
        arrays.setdefault(clip.mark, np.zeros((), np.float32))
    return arrays


def _torch_file(source: Path) -> Any:
    torch = _torch()
    with source.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and not zipfile.is_zipfile(source):
        size = source.stat().st_size
        raise UserError(f"{source} is a truncated zip of {size:,} bytes; fetch it again")
    try:
        with warnings.catch_warnings(action="ignore"):  # of old pickle protocols
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        wrong = f"holds {named[1]}" if named else "is damaged, or holds more than tensors"
        raise UserError(
            f"{source} {wrong}, which could run code when loaded; it was refused unread. Save "
            "plain weights, from a program that you trust: torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # torch raises nearly anything for what is no torch file
        raise UserError(f"{source} is not a torch checkpoint, or a damaged one") from error
