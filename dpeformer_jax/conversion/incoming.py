"""From another program's file to a checkpoint folder."""

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

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import Weights, save_weights
from dpeformer_jax.conversion import formats, mapping, torch_files
from dpeformer_jax.conversion.formats import AUTO, MEMORY
from dpeformer_jax.conversion.paths import RECORD, check_target, system_errors, writing
from dpeformer_jax.conversion.verify import verify
from dpeformer_jax.model.families import shapes_of
from dpeformer_jax.model.spec import PRESETS, NetworkSpec

Tell = Callable[[str], None]


def bring_in(
    source: Path,
    target: Path,
    tell: Tell,
    *,
    kind: str = AUTO,
    preset: str | None = None,
    allowed: str | None = None,
    overwrite: bool = False,
    verified: bool = False,
) -> None:
    """Converts a file to a checkpoint folder, with RECORD in it.

    Args:
        tell: takes the lines of the result.
        kind: format of the source.
        preset: name in PRESETS that the network's features follow; None for the paper's.
        allowed: regular expression; names in which it is found may be missing or left over.
        verified: whether to compare the tokens with timm's first.

    Raises:
        UserError: the source, the target or the options cannot be used as they are.
    """
    check_target(target, False, overwrite)
    arrays = read(source)
    try:
        if MEMORY in arrays:
            kind, weights = MEMORY, _memory_bank(arrays[MEMORY], kind)
        else:
            kind = formats.detect(arrays) if kind == AUTO else kind
            weights = convert(arrays, kind, allowed, tell)
        if preset is not None:
            weights = _with_preset(weights, preset)
        if verified:
            verify(weights, tell)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    record = {
        "source": source.name,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "format": kind,
        "tool": f"dpeformer_jax {version('dpeformer_jax')}",
        "arrays": len(flatten_dict(weights.variables)) + (weights.memory is not None),
    }
    with writing(target) as partial:
        partial.mkdir()
        save_weights(partial, weights)
        (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    tell(f"wrote {target}: {record['arrays']} arrays")


def read(source: Path) -> mapping.Arrays:
    """Reads all arrays of a file as float32, by name.

    Raises:
        UserError: the file is no checkpoint, is damaged, or could run code.
    """
    with system_errors(source, "read"):
        if not source.is_file():
            raise UserError(f"--source={source} is not a file")
        return _read_npz(source) if source.suffix == ".npz" else torch_files.read(source)


def convert(arrays: mapping.Arrays, kind: str, allowed: str | None, tell: Tell) -> Weights:
    """Converts arrays under the names of a format; tells what was found and what is unused.

    Raises:
        UserError: names that `allowed` does not find are missing or left over, an array has
            another shape, or a value is not finite.
    """
    if kind == "timm" and "dist_token" in arrays and np.ndim(arrays.get("pos_embed")) == 3:
        # DeiT's second token stands between the class token and the patches.
        arrays = arrays | {"pos_embed": np.delete(arrays["pos_embed"], 1, axis=1)}
    spec = formats.spec_of(arrays, kind)
    table, shapes = formats.table_of(kind, spec, arrays), shapes_of(spec)
    found = mapping.compare(arrays, table, shapes, formats.unused_of(kind, spec, arrays))
    mapping.refuse(found, allowed)
    flat = mapping.to_ours(arrays, table, shapes)
    for path, value in flat.items():
        if not np.isfinite(value).all():
            raise UserError(f"{path} holds values that are not finite")
    _tell_found(kind, spec, flat, tell)
    for name, count in Counter(re.sub(r"\d+", "*", name) for name in found.unused).items():
        tell(f"  unused: {name}" + (f" ({count})" if count > 1 else ""))
    for path in sorted({entry.path for entry in table} - flat.keys()):
        tell(f"  not there: {path}")
    return Weights(Path(), spec, unflatten_dict(flat, sep="/"), None)


def _read_npz(source: Path) -> mapping.Arrays:
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
    if not weights.complete or weights.missing:
        raise UserError(f"only a whole DPEFormer network has presets; leave --preset={preset} out")
    return dataclasses.replace(weights, spec=dataclasses.replace(weights.spec, **PRESETS[preset]))


def _tell_found(kind: str, spec: NetworkSpec, flat: mapping.Arrays, tell: Tell) -> None:
    size = "x".join(map(str, spec.image_size))
    values = sum(value.size for value in flat.values())
    tell(
        f"{kind}: {spec.variant}, images {size}, stride {spec.stride}, "
        f"{values / 1e6:.1f} million values in {len(flat)} arrays"
    )
