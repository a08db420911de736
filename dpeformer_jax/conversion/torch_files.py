"""All that needs torch: its files, and timm's networks. Nothing else in the package imports torch.

A file is data: nothing in it is run.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.conversion.formats import MEMORY
from dpeformer_jax.conversion.mapping import Arrays
from dpeformer_jax.conversion.paths import writing
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.vit import VARIANTS

WRAPPERS = ("model", "state_dict")


def read(source: Path) -> Arrays:
    """Reads all tensors of a torch or safetensors file as float32, by name.

    A state_dict may lie under one of WRAPPERS, and its names may begin with "module.". The one
    tensor of a memory file gets the name MEMORY.

    Raises:
        UserError: the file is no checkpoint, is damaged, or could run code.
    """
    found = _safetensors(source) if source.suffix == ".safetensors" else _torch_file(source)
    while isinstance(found, Mapping):
        wrapped = [found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping)]
        if not wrapped:
            break
        found = wrapped[0]
    if not isinstance(found, Mapping):
        found = {MEMORY: found}
    for name, tensor in found.items():
        plain = hasattr(tensor, "detach") and str(tensor.layout) == "torch.strided"
        if not isinstance(name, str) or not plain or tensor.is_complex():
            raise UserError(
                f"{source}: {name!r} is a {type(tensor).__name__} and no named tensor of real "
                f"numbers; expected a state_dict, alone or under {' or '.join(map(repr, WRAPPERS))}"
            )
    return {name.removeprefix("module."): x.detach().float().numpy() for name, x in found.items()}


def write(target: Path, arrays: Arrays) -> None:
    """Writes a state_dict, or the one tensor of a memory file, in the format of the suffix.

    Raises:
        UserError: torch is not installed, or the target cannot be written.
    """
    torch = _torch()
    from safetensors.numpy import save

    with writing(target) as partial, partial.open("wb") as file:
        if target.suffix == ".safetensors":
            file.write(save(arrays))
        else:
            tensors = _tensors(torch, arrays)
            torch.save(tensors.get(MEMORY, tensors), file)


def timm_tokens(state: Arrays, spec: NetworkSpec, images: np.ndarray) -> np.ndarray:
    """Computes a backbone's tokens [B, 1 + N, D] of images [B, H, W, 3] by timm, in float32.

    `state` holds the backbone under timm's names. timm knows no side information embedding.

    Raises:
        UserError: torch or timm is not installed.
    """
    torch = _torch()
    try:
        from timm.models.vision_transformer import VisionTransformer
    except ImportError as error:
        raise UserError("--verify needs timm: pip install timm") from error
    size = VARIANTS[spec.variant]
    network = VisionTransformer(
        spec.image_size,
        size.patch,
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        num_classes=0,
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
            "torch files need torch and safetensors: pip install 'dpeformer_jax[convert]'"
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
        if named is None:
            raise UserError(
                f"{source} is damaged, or a pickle that could run code; it was refused unread"
            ) from error
        raise UserError(
            f"{source} holds more than tensors ({named[1]}), which could run code when loaded; it "
            "was refused unread. Save plain weights, from a program that you trust: "
            "torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # torch raises nearly anything for what is no torch file
        raise UserError(f"{source} is not a torch checkpoint, or a damaged one") from error
