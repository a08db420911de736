"""Brings weights in from other programs, and back.

python convert_weights.py --source jx_vit_base_p16_224-80ecf9dd.pth --target weights/vit_b16
python convert_weights.py --source runs/mine --target mine.pth --to torch

In: timm ViTs (.pth, .safetensors), TransReID and DPEFormer checkpoints and DPEFormer's memory file
(.pth), Google's ViTs (.npz). Out: a folder for --config.init.checkpoint, --checkpoint and
Extractor.load, with conversion.json in it. Nothing in a file is ever run.
"""

import argparse
import hashlib
import json
import os
import pickle
import re
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dpeformer_jax.conversion import formats, mapping
from dpeformer_jax.errors import ConfigError
from dpeformer_jax.model.description import Description, shapes_of
from dpeformer_jax.model.vit import VARIANTS, VisionTransformer
from dpeformer_jax.weights import Weights, load_weights, save_weights

MEMORY = "memory"  # the format of a memory file, and the name of its one array
WRAPPERS = ("model", "state_dict")
TORCH_SUFFIXES = (".pth", ".pt", ".safetensors")
VERIFIED_IMAGES = 2
TOLERANCE = 1e-4  # of --verify, relative to the largest value; float32 ends near 1e-6


def main() -> None:
    """A user's mistake ends with one paragraph and exit code 2."""
    arguments = parse()
    try:
        if arguments.to == "torch":
            export(arguments)
        else:
            bring_in(arguments)
    except (ConfigError, OSError) as error:  # of the system: no space, no permission
        print(f"convert_weights.py: {error}", file=sys.stderr)
        sys.exit(2)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--source", type=path, required=True, help="file; with --to torch our checkpoint folder")
    add("--target", type=path, required=True, help="folder; with --to torch a .pth file")
    add("--to", choices=("flax", "torch"), default="flax")
    add(
        "--format",
        choices=("auto", *formats.FORMATS),
        default="auto",
        help="names in the source; with --to torch in the target",
    )
    add(
        "--allow-missing",
        metavar="PATTERN",
        help="accepts missing and left-over names that hold this regular expression",
    )
    add("--overwrite", action="store_true", help="replaces an earlier conversion")
    add("--verify", action="store_true", help="compares the tokens with timm's in torch")
    return parser.parse_args()


def path(text: str) -> Path:
    return Path(text).expanduser()


def check_target(target: Path, to: str, overwrite: bool) -> None:
    """Raises ConfigError where writing would lose something or mislead."""
    if (target.suffix in TORCH_SUFFIXES) != (to == "torch"):
        raise ConfigError(
            f"--target={target}: --to {to} writes "
            + (f"a file named {' or '.join(TORCH_SUFFIXES)}" if to == "torch" else "a folder")
        )
    if not target.exists():
        return
    if not overwrite:
        raise ConfigError(f"{target} exists; choose another --target, or add --overwrite")
    ours = (target / "conversion.json").exists() if to == "flax" else target.is_file()
    if not ours:
        raise ConfigError(
            f"{target} is not of an earlier conversion, so --overwrite leaves it alone; choose "
            "another --target"
        )


def bring_in(arguments: argparse.Namespace) -> None:
    """From a file to a checkpoint folder."""
    check_target(arguments.target, "flax", arguments.overwrite)
    source = arguments.source
    theirs = read(source)
    try:
        if MEMORY in theirs:
            kind, weights = MEMORY, memory_bank(theirs[MEMORY], arguments)
        else:
            kind = formats.detect(theirs) if arguments.format == "auto" else arguments.format
            weights = convert(theirs, kind, arguments.allow_missing)
            if arguments.verify:
                verify(weights)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    count = len(flatten_dict(weights.variables)) + (weights.memory is not None)
    record = {
        "source": source.name,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "format": kind,
        "tool": f"dpeformer_jax {version('dpeformer_jax')}",
        "arrays": count,
    }
    with whole(arguments.target) as partial:
        partial.mkdir()
        save_weights(partial, weights)
        (partial / "conversion.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"wrote {arguments.target}: {count} arrays")


def export(arguments: argparse.Namespace) -> None:
    """From a checkpoint to a torch state_dict; a memory bank goes into a file of its own."""
    target, kind = arguments.target, arguments.format
    bank = target.with_stem(f"{target.stem}_memory")
    check_target(target, "torch", arguments.overwrite)
    weights = load_weights(arguments.source)
    files = {}
    if weights.model is not None:
        if kind == "auto":
            kind = "dpeformer" if weights.complete else "timm"
        if kind == "vit_jax" or kind == "dpeformer" and not weights.complete:
            raise ConfigError(f"{weights.folder} cannot be written with the names of {kind}")
        files[target] = state_dict(weights, kind)
    if weights.memory is not None:
        files[bank if files else target] = weights.memory
    if bank in files:
        check_target(bank, "torch", arguments.overwrite)
    if arguments.verify:
        verify(weights)
    for file, arrays in files.items():
        save_torch(file, arrays)


def state_dict(weights: Weights, kind: str) -> mapping.Arrays:
    """The arrays under the names of a format; prints which it has no names for."""
    flat = flatten_dict(weights.variables, sep="/")
    table = formats.table_of(kind, weights.model)
    modules = {name.split("/")[1] for name in flat.keys() - {entry.path for entry in table}}
    if modules:
        print(f"{kind} has no names for {', '.join(sorted(modules))}: not written")
    return mapping.to_theirs(flat, table)


def memory_bank(bank: np.ndarray, arguments: argparse.Namespace) -> Weights:
    """A memory file's one array.

    Raises:
        ConfigError: it is no memory bank, or options ask for what it is not.
    """
    if bank.ndim != 2 or not np.isfinite(bank).all():
        raise ConfigError(f"one array of shape {bank.shape}; a memory bank is [C, F] and finite")
    if arguments.format not in ("auto", "dpeformer") or arguments.verify:
        raise ConfigError("it is a memory bank, which has no --format and nothing to --verify")
    return Weights(Path(), None, {}, bank)


def convert(theirs: mapping.Arrays, kind: str, allowed: str | None) -> Weights:
    """Arrays under the names of a format as our weights; prints what was found and what is unused.

    Raises:
        ConfigError: names missing or left over that `allowed` does not match, other shapes, values
            that are not finite.
    """
    if kind == "timm" and "dist_token" in theirs and np.ndim(theirs.get("pos_embed")) == 3:
        # DeiT's second token stands between the class token and the patches.
        theirs["pos_embed"] = np.delete(theirs["pos_embed"], 1, axis=1)
    model = formats.describe(theirs, kind)
    table, shapes = formats.table_of(kind, model, theirs), shapes_of(model)
    found = mapping.compare(theirs, table, shapes, formats.unused_of(kind, model, theirs))
    mapping.refuse(found, allowed)
    flat = mapping.to_ours(theirs, table, shapes)
    for name, value in flat.items():
        if not np.isfinite(value).all():
            raise ConfigError(f"{name} holds values that are not finite")
    absent = sorted({entry.path for entry in table} - flat.keys())
    tell(kind, model, flat, found.unused, absent)
    return Weights(Path(), model, unflatten_dict(flat, sep="/"), None)


def tell(
    kind: str, model: Description, flat: mapping.Arrays, unused: list[str], absent: list[str]
) -> None:
    size = "x".join(map(str, model["image_size"]))
    values = sum(value.size for value in flat.values())
    print(
        f"{kind}: {model['variant']}, images {size}, stride {model['stride']}, "
        f"{values / 1e6:.1f} million values in {len(flat)} arrays"
    )
    for name, count in Counter(re.sub(r"\d+", "*", key) for key in unused).items():
        print(f"  unused: {name}" + (f" ({count})" if count > 1 else ""))
    for name in absent:
        print(f"  not there: {name}")


def verify(weights: Weights) -> None:
    """Prints the largest difference between our backbone's tokens and timm's, computed by torch.

    Raises:
        ConfigError: timm is not installed, or the difference is above TOLERANCE.
    """
    if weights.model is None or any("/backbone/" in name for name in weights.missing):
        raise ConfigError("--verify needs a whole backbone")
    torch = torch_needed()
    try:
        from timm.models.vision_transformer import VisionTransformer as TimmTransformer
    except ImportError as error:
        raise ConfigError("--verify needs timm: pip install timm") from error
    model, params = weights.model, weights.variables["params"]["backbone"]
    variant, size = VARIANTS[model["variant"]], tuple(model["image_size"])
    images = np.random.default_rng(0).uniform(-1, 1, (VERIFIED_IMAGES, *size, 3)).astype(np.float32)
    ours = VisionTransformer(variant, model["stride"], sides=model["sides"])
    with jax.default_matmul_precision("highest"):
        tokens = jax.jit(ours.apply)({"params": params}, images, jnp.zeros(len(images), jnp.int32))

    state = mapping.to_theirs(
        flatten_dict(weights.variables, sep="/"), formats.table_of("timm", model)
    )
    if model["sides"]:  # timm has no side information: all images are from camera 0
        state["pos_embed"] = (
            state["pos_embed"] + model["side_coefficient"] * params["sie_embed"][:1]
        )
    theirs = TimmTransformer(
        size,
        variant.patch,
        embed_dim=variant.width,
        depth=variant.depth,
        num_heads=variant.heads,
        num_classes=0,
    )
    theirs.patch_embed.proj.stride = (model["stride"], model["stride"])
    theirs.pos_embed = torch.nn.Parameter(torch.from_numpy(state["pos_embed"]))
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    with torch.inference_mode():
        expected = theirs.eval().forward_features(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    expected = expected.numpy()
    difference = np.abs(np.asarray(tokens) - expected).max()
    print(f"largest difference from timm's tokens: {difference:.1e}")
    if not difference <= TOLERANCE * np.abs(expected).max():
        raise ConfigError("the tokens are not those of timm; nothing was written")


# Reading. Files are data: nothing in them is run.


def read(source: Path) -> mapping.Arrays:
    """All arrays of a file under their names, float32, unwrapped; a memory file's under MEMORY.

    Raises:
        ConfigError: it is no checkpoint, it is damaged, or it could run code.
    """
    if not source.is_file():
        raise ConfigError(f"--source={source} is not a file")
    if source.suffix == ".npz":
        return read_npz(source)
    found = read_safetensors(source) if source.suffix == ".safetensors" else read_torch(source)
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
            raise ConfigError(
                f"{source}: {name!r} is a {type(tensor).__name__} and no named tensor of real "
                f"numbers; expected a state_dict, alone or under {' or '.join(map(repr, WRAPPERS))}"
            )
    return {name.removeprefix("module."): x.detach().float().numpy() for name, x in found.items()}


def read_npz(source: Path) -> mapping.Arrays:
    try:
        with np.lib.npyio.NpzFile(source.open("rb"), own_fid=True) as file:  # never unpickles
            return {name: file[name].astype(np.float32) for name in file.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{source} is not a whole .npz of plain arrays: {error}") from error


def read_safetensors(source: Path) -> Mapping[str, Any]:
    torch_needed()
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(source)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{source} is not a whole safetensors file: {error}") from error


def read_torch(source: Path) -> Any:
    torch = torch_needed()
    with source.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and not zipfile.is_zipfile(source):
        size = source.stat().st_size
        raise ConfigError(f"{source} is a truncated zip of {size:,} bytes; fetch it again")
    try:
        with warnings.catch_warnings(action="ignore"):  # of old pickle protocols
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named is None:
            raise ConfigError(
                f"{source} is damaged, or a pickle that could run code; it was refused unread"
            ) from error
        raise ConfigError(
            f"{source} holds more than tensors ({named[1]}), which could run code when loaded; it "
            "was refused unread. Save plain weights, from a program that you trust: "
            "torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # for what is no torch file at all, nearly anything
        raise ConfigError(f"{source} is not a torch checkpoint, or a damaged one") from error


def torch_needed() -> Any:
    try:
        import safetensors  # noqa: F401
        import torch
    except ImportError as error:
        raise ConfigError(
            "torch files need torch and safetensors: pip install 'dpeformer_jax[convert]'"
        ) from error
    return torch


# Writing. A target is there whole or not at all.


@contextmanager
def whole(target: Path):
    """Yields a temporary path beside the target that takes its name when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        new = Path(folder) / "new"
        yield new
        if target.is_dir():  # which os.replace does not replace
            os.replace(target, Path(folder) / "old")
        os.replace(new, target)


def save_torch(target: Path, arrays: Any) -> None:
    """Writes a state_dict, or one tensor; as safetensors where the name says so."""
    torch = torch_needed()
    tensors = jax.tree.map(torch.from_numpy, arrays)
    with whole(target) as partial:
        if target.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(tensors if isinstance(tensors, dict) else {MEMORY: tensors}, partial)
        else:
            torch.save(tensors, partial)
    print(
        f"wrote {target}: {len(arrays)} tensors" if isinstance(arrays, dict) else f"wrote {target}"
    )


if __name__ == "__main__":
    main()
