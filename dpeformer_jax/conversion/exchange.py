"""Makes a checkpoint folder of another program's file, and a torch file of one of our checkpoints.

An OSError passes through; the command tells it.
"""

import dataclasses
import hashlib
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import CONVERSION, Weights, load_weights, save_weights
from dpeformer_jax.conversion import formats, mapping, torch_files
from dpeformer_jax.conversion.formats import AUTO, MEMORY
from dpeformer_jax.conversion.recognition import spec_of
from dpeformer_jax.model.families import shapes_of
from dpeformer_jax.model.spec import PRESETS

TORCH_SUFFIXES = (".pth", ".pt", ".safetensors")

Tell = Callable[[str], None]  # takes a line of the result


def bring_in(
    source: Path,
    target: Path,
    tell: Tell,
    *,
    kind: str,
    variant: str | None,
    image_size: tuple[int, int] | None,
    sie_coefficient: float | None,
    preset: str | None,
    allowed: str | None,
    overwrite: bool,
    verified: bool,
) -> None:
    """Converts a file to a checkpoint folder, with CONVERSION in it.

    kind: format of the source; variant, image_size: see recognition.spec_of.
    sie_coefficient: of a side information embedding; None for the one that its program publishes.
    preset: name in PRESETS that the network's features follow; None for the paper's.
    allowed: regular expression; names in which it is found may be missing or left over.
    verified: whether to compare the tokens with timm's first.

    Raises UserError where the source, the target or the options cannot be used as they are.
    """
    _check_target(target, False, overwrite)
    arrays = _read(source)
    try:
        if MEMORY in arrays:
            kind, weights = MEMORY, _memory_bank(arrays[MEMORY], kind)
        else:
            kind = formats.detect(arrays) if kind == AUTO else kind
            weights = convert(arrays, kind, variant, allowed, tell, image_size)
        if sie_coefficient is not None:
            weights = _with_coefficient(weights, sie_coefficient)
        if preset is not None:
            weights = _with_preset(weights, preset)
        if verified:
            torch_files.verify(weights, tell)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    record = {
        "source": source.name,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "format": kind,
        "tool": f"dpeformer_jax {version('dpeformer_jax')}",
        "arrays": len(flatten_dict(weights.variables)) + (weights.memory is not None),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as partial:
        partial.mkdir()
        save_weights(partial, weights)
        (partial / CONVERSION).write_text(json.dumps(record, indent=2) + "\n")
    tell(f"wrote {target}: {record['arrays']} arrays")


def export(
    source: Path, target: Path, tell: Tell, *, kind: str, overwrite: bool, verified: bool
) -> None:
    """Writes a checkpoint's network as a state_dict, and its memory bank as <stem>_memory.

    source: checkpoint, or the workdir of a training.
    kind: format whose names the target gets; AUTO takes the one of the network's family or, for a
        backbone, the one that suits it.

    Otherwise like `bring_in`.
    """
    _check_target(target, True, overwrite)
    weights = load_weights(source)
    files = {}
    if weights.spec is not None:
        files[target] = _state_dict(weights, kind, tell)
    if weights.memory is not None:
        bank = target.with_stem(f"{target.stem}_memory") if files else target
        _check_target(bank, True, overwrite)
        files[bank] = {MEMORY: weights.memory}
    if verified:
        torch_files.verify(weights, tell)
    for file, arrays in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as partial:
            torch_files.write(partial, arrays, file.suffix)
        tell(f"wrote {file}: {len(arrays)} tensor{'s' * (len(arrays) > 1)}")


def convert(
    arrays: mapping.Arrays,
    kind: str,
    variant: str | None,
    allowed: str | None,
    tell: Tell,
    image_size: tuple[int, int] | None = None,
) -> Weights:
    """Converts arrays under the names of a format; tells what was found and what is unused.

    variant, image_size: see recognition.spec_of.

    Raises UserError where names that `allowed` does not find are missing or left over, an array has
    another shape, or a value is not finite.
    """
    if kind == "timm" and "dist_token" in arrays and np.ndim(arrays.get("pos_embed")) == 3:
        # DeiT's second token stands between the class token and the patches.
        arrays = arrays | {"pos_embed": np.delete(arrays["pos_embed"], 1, axis=1)}
    spec = spec_of(arrays, kind, variant, image_size)
    table, shapes = formats.table_of(kind, spec), shapes_of(spec)
    found = mapping.compare(arrays, table, shapes, formats.unused_of(kind, spec))
    mapping.refuse(found, allowed)
    flat = mapping.to_ours(arrays, table, shapes)
    for path, value in flat.items():
        if not np.isfinite(value).all():
            raise UserError(f"{path} holds values that are not finite")
    size = "x".join(map(str, spec.image_size))
    millions = sum(value.size for value in flat.values()) / 1e6
    tell(
        f"{kind}: {spec.variant}, images {size}, stride {spec.stride}, "
        f"{millions:.1f} million values in {len(flat)} arrays"
    )
    for name, count in Counter(re.sub(r"\d+", "*", name) for name in found.unused).items():
        tell(f"  unused: {name}" + (f" ({count})" if count > 1 else ""))
    for path in sorted({entry.path for entry in table} - flat.keys()):
        tell(f"  not there: {path}")
    return Weights(Path(), spec, unflatten_dict(flat, sep="/"), None)


def _check_target(target: Path, to_torch: bool, overwrite: bool) -> None:
    """Raises UserError where writing there would mislead or destroy something."""
    if (target.suffix in TORCH_SUFFIXES) != to_torch:
        raise UserError(
            f"--target={target}: --to torch writes a file named {' or '.join(TORCH_SUFFIXES)}, "
            "and --to flax writes a folder of another name"
        )
    if not target.exists():
        return
    if not overwrite:
        raise UserError(f"{target} exists; choose another --target, or add --overwrite")
    if not (target.is_file() if to_torch else (target / CONVERSION).exists()):
        raise UserError(
            f"{target} is not of an earlier conversion, so --overwrite leaves it alone; choose "
            "another --target"
        )


def _read(source: Path) -> mapping.Arrays:
    """Reads all arrays of a file as float32, by name."""
    if not source.is_file():
        raise UserError(f"--source={source} is not a file")
    if source.suffix != ".npz":
        return torch_files.read(source)
    try:
        with np.lib.npyio.NpzFile(source.open("rb"), own_fid=True) as file:  # never unpickles
            return {name: file[name].astype(np.float32) for name in file.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{source} is not a whole .npz of plain arrays: {error}") from error


def _memory_bank(bank: np.ndarray, kind: str) -> Weights:
    if bank.ndim != 2 or not np.isfinite(bank).all():
        raise UserError(f"one array of shape {bank.shape}; a memory bank is [C, F] and finite")
    if kind not in (AUTO, "dpeformer"):
        raise UserError(f"it is a memory bank, which has no --format {kind}; leave the option out")
    return Weights(Path(), None, {}, bank)


def _with_preset(weights: Weights, preset: str) -> Weights:
    spec = weights.spec
    if spec is None or spec.family != "dpeformer" or not weights.complete or weights.missing:
        raise UserError(f"only a whole DPEFormer network has presets; leave --preset={preset} out")
    return dataclasses.replace(weights, spec=dataclasses.replace(spec, **PRESETS[preset]))


def _with_coefficient(weights: Weights, coefficient: float) -> Weights:
    if weights.spec is None or not weights.spec.sie_rows:
        raise UserError(f"it embeds no cameras, so leave --sie-coefficient={coefficient} out")
    spec = dataclasses.replace(weights.spec, sie_coefficient=coefficient)
    return dataclasses.replace(weights, spec=spec)


def _state_dict(weights: Weights, kind: str, tell: Tell) -> mapping.Arrays:
    """Returns the arrays under the names of a format; tells what it has no names for."""
    kind = formats.target_of(kind, weights.spec, weights.complete)
    flat = flatten_dict(weights.variables, sep="/")
    table = formats.table_of(kind, weights.spec)
    modules = {path.split("/")[1] for path in flat.keys() - {entry.path for entry in table}}
    if modules:
        tell(f"{kind} has no names for {', '.join(sorted(modules))}: not written")
    return mapping.to_theirs(flat, table + formats.copies_of(kind, weights.spec))
