"""From one of our checkpoints to a torch file."""

from collections.abc import Callable
from pathlib import Path

from flax.traverse_util import flatten_dict

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import Weights, load_weights
from dpeformer_jax.conversion import formats, mapping, torch_files
from dpeformer_jax.conversion.formats import AUTO, MEMORY
from dpeformer_jax.conversion.paths import check_target, system_errors
from dpeformer_jax.conversion.verify import verify


def export(
    source: Path,
    target: Path,
    tell: Callable[[str], None],
    *,
    kind: str = AUTO,
    overwrite: bool = False,
    verified: bool = False,
) -> None:
    """Writes a checkpoint's network as a state_dict, and its memory bank as <stem>_memory.

    Args:
        source: checkpoint, or the workdir of a training.
        tell: takes the lines of the result.
        kind: format whose names the target gets; AUTO takes "dpeformer" for a whole network and
            "timm" for a backbone.
        verified: whether to compare the tokens with timm's first.

    Raises:
        UserError: the source, the target or the options cannot be used as they are.
    """
    check_target(target, True, overwrite)
    with system_errors(source, "read"):
        weights = load_weights(source)
    files = {}
    if weights.spec is not None:
        files[target] = _state_dict(weights, kind, tell)
    if weights.memory is not None:
        bank = target.with_stem(f"{target.stem}_memory") if files else target
        check_target(bank, True, overwrite)
        files[bank] = {MEMORY: weights.memory}
    if verified:
        verify(weights, tell)
    for file, arrays in files.items():
        torch_files.write(file, arrays)
        tell(f"wrote {file}: {len(arrays)} tensor{'s' * (len(arrays) > 1)}")


def _state_dict(weights: Weights, kind: str, tell: Callable[[str], None]) -> mapping.Arrays:
    """Returns the arrays under the names of a format; tells what it has no names for."""
    if kind == AUTO:
        kind = "dpeformer" if weights.complete else "timm"
    if kind == "vit_jax" or kind == "dpeformer" and not weights.complete:
        raise UserError(f"{weights.folder} cannot be written with the names of {kind}")
    flat = flatten_dict(weights.variables, sep="/")
    table = formats.table_of(kind, weights.spec)
    modules = {path.split("/")[1] for path in flat.keys() - {entry.path for entry in table}}
    if modules:
        tell(f"{kind} has no names for {', '.join(sorted(modules))}: not written")
    return mapping.to_theirs(flat, table)
