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
import shutil
import sys
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
from dpeformer_jax.model.description import Description
from dpeformer_jax.model.vit import VARIANTS, VisionTransformer
from dpeformer_jax.weights import Weights, load_weights, save_weights

MEMORY = "memory"  # the format of a memory file, and the name of its one array
WRAPPERS = ("model", "state_dict")
LISTED = 20  # names that an error spells out
VERIFIED_IMAGES = 2
TOLERANCE = 1e-4  # of --verify, relative to the largest value; float32 ends near 1e-6


def main() -> None:
    """A user's mistake ends with one paragraph and exit code 2."""
    arguments = parse()
    try:
        check_target(arguments.target, arguments.to, arguments.overwrite)
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
    add("--source", type=Path, required=True, help="file; with --to torch our checkpoint folder")
    add("--target", type=Path, required=True, help="folder; with --to torch a .pth file")
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
        type=pattern,
        help="accepts missing and left-over names that hold this regular expression",
    )
    add("--overwrite", action="store_true", help="replaces an earlier conversion")
    add("--verify", action="store_true", help="compares the tokens with timm's in torch")
    return parser.parse_args()


def pattern(text: str) -> re.Pattern:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error


def check_target(target: Path, to: str, overwrite: bool) -> None:
    """Raises ConfigError where writing would lose something."""
    if not target.exists():
        return
    if not overwrite:
        raise ConfigError(f"--target={target} exists; choose another, or add --overwrite")
    ours = (target / "conversion.json").exists() if to == "flax" else target.is_file()
    if not ours:
        raise ConfigError(
            f"--target={target} is not of an earlier conversion, so --overwrite leaves it alone; "
            "choose another"
        )


def bring_in(arguments: argparse.Namespace) -> None:
    """From a file to a checkpoint folder."""
    source = arguments.source
    theirs = read(source)
    if MEMORY in theirs:
        kind, weights = MEMORY, Weights(source, None, {}, theirs[MEMORY])
    else:
        try:
            kind = formats.detect(theirs) if arguments.format == "auto" else arguments.format
            weights = convert(theirs, kind, arguments.allow_missing)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from error
        if arguments.verify:
            verify(weights)
    count = len(flatten_dict(weights.variables)) + (weights.memory is not None)
    record = {
        "source": source.name,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "format": kind,
        "tool": f"dpeformer_jax {version('dpeformer_jax')}",
        "arrays": count,
    }
    with whole(arguments.target) as partial:
        partial.mkdir(parents=True)
        save_weights(partial, weights)
        (partial / "conversion.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"wrote {arguments.target}: {count} arrays")


def export(arguments: argparse.Namespace) -> None:
    """From a checkpoint to a torch state_dict; a memory bank goes into a file of its own."""
    weights = load_weights(arguments.source)
    target, kind = arguments.target, arguments.format
    if weights.model is not None:
        if kind == "auto":
            kind = "dpeformer" if weights.complete else "timm"
        if kind == "vit_jax" or kind == "dpeformer" and not weights.complete:
            raise ConfigError(f"{weights.folder} cannot be written with the names of {kind}")
        if arguments.verify:
            verify(weights)
        flat = flatten_dict(weights.variables, sep="/")
        save_torch(target, mapping.to_theirs(flat, formats.table_of(kind, weights.model)))
        target = target.with_stem(f"{target.stem}_memory")
    if weights.memory is not None:
        save_torch(target, weights.memory)


def convert(theirs: mapping.Arrays, kind: str, allowed: re.Pattern | None) -> Weights:
    """Arrays under the names of a format as our weights; prints what was found and what is unused.

    Raises:
        ConfigError: names missing or left over that `allowed` does not match, other shapes, values
            that are not finite.
    """
    if "dist_token" in theirs:  # DeiT's second token stands between the class token and the patches
        theirs["pos_embed"] = np.delete(theirs["pos_embed"], 1, axis=1)
    model = formats.describe(theirs, kind)
    table, shapes = formats.table_of(kind, model, theirs), formats.shapes_of(model)
    found = mapping.compare(theirs, table, shapes, formats.FORMATS[kind].unused)
    refuse(found, allowed)
    flat = mapping.to_ours(theirs, table, shapes)
    for path, value in flat.items():
        if not np.isfinite(value).all():
            raise ConfigError(f"{path} holds values that are not finite")
    tell(kind, model, flat, found.unused)
    return Weights(Path(), model, unflatten_dict(flat, sep="/"), None)


def refuse(found: mapping.Comparison, allowed: re.Pattern | None) -> None:
    """Raises ConfigError for names that do not fit, unless the pattern `allowed` accepts them."""

    def refused(keys: list[str]) -> list[str]:
        return [key for key in keys if allowed is None or not allowed.search(key)]

    problems = [f"-{key}" for key in refused(found.missing)]
    problems += [f"+{key}" for key in refused(found.left_over)]
    problems += found.misshapen
    if problems:
        more = f" and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise ConfigError(
            f"it does not fit (- missing, + left over): {', '.join(problems[:LISTED])}{more}. "
            "Missing and left-over names can be accepted with --allow-missing PATTERN"
        )


def tell(kind: str, model: Description, flat: mapping.Arrays, unused: list[str]) -> None:
    size = "x".join(map(str, model["image_size"]))
    parameters = sum(value.size for value in flat.values())
    print(
        f"{kind}: {model['variant']}, images {size}, stride {model['stride']}, "
        f"{parameters / 1e6:.1f} million values in {len(flat)} arrays"
    )
    for name, count in Counter(re.sub(r"\d+", "*", key) for key in unused).items():
        print(f"  unused: {name}" + (f" ({count})" if count > 1 else ""))


def verify(weights: Weights) -> None:
    """Prints the largest difference between our backbone's tokens and timm's, computed by torch.

    Raises:
        ConfigError: timm is not installed, or the difference is above TOLERANCE.
    """
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
        if not hasattr(tensor, "detach"):
            raise ConfigError(
                f"{source}: {name!r} is a {type(tensor).__name__} and no tensor; expected a "
                f"state_dict, alone or under {' or '.join(map(repr, WRAPPERS))}"
            )
    return {name.removeprefix("module."): x.detach().float().numpy() for name, x in found.items()}


def read_npz(source: Path) -> mapping.Arrays:
    try:
        with np.load(source, allow_pickle=False) as file:
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
        raise ConfigError(
            f"{source} holds more than tensors ({named[1] if named else 'a pickle'}), which could "
            "run code when loaded; it was refused unread. Save plain weights, from a program that "
            "you trust: torch.save(model.state_dict(), FILE)"
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
    partial, old = (target.with_name(f"{target.name}.{word}") for word in ("partial", "old"))
    discard(partial)
    try:
        yield partial
        if target.is_dir():  # which os.replace does not replace
            os.replace(target, old)
        os.replace(partial, target)
        discard(old)
    finally:
        discard(partial)


def discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_torch(target: Path, arrays: Any) -> None:
    """Writes a state_dict, or one tensor; as safetensors where the name says so."""
    torch = torch_needed()
    tensors = jax.tree.map(torch.from_numpy, arrays)
    target.parent.mkdir(parents=True, exist_ok=True)
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
