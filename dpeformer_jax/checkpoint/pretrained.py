"""Starts a network from saved weights, by a strict merge of parameters."""

import dataclasses
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import Weights, refuse_unfit
from dpeformer_jax.model.families import FAMILIES, end_paths
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.model.vit import resize_positions

POSITIONS, SIE = "params/backbone/pos_embed", "params/backbone/sie_embed"

Arrays = dict[str, Any]  # by path


def start_from(
    weights: Weights, fresh: dict[str, Any], spec: NetworkSpec
) -> tuple[dict[str, Any], set[str]]:
    """Lays saved weights over the fresh variables of the network that the spec defines.

    Classifiers stay fresh, for their rows are the identities of one training set. Of a backbone
    alone, and of a network of another family, all heads stay fresh. A position embedding of another
    patch grid is resized. The side information embedding keeps the rows of cameras that both
    networks name; others stay fresh.

    Returns the variables, and the parts of the network that stayed fresh. Raises UserError where
    the variant, a name or a shape does not fit.
    """
    if weights.spec is None:
        raise UserError(f"{weights.folder} holds a memory bank and no network")
    source, target = weights.spec.variant, spec.variant
    if source != target:
        raise UserError(
            f"{weights.folder} holds a network of variant {source!r} ({_told(source, target)}); "
            f"config.model.variant = {target!r} is another ({_told(target, source)})"
        )
    ours, saved = (flatten_dict(x, sep="/") for x in (fresh, weights.variables))
    if weights.spec.family == spec.family:
        theirs = {n: x for n, x in saved.items() if not _module(n).endswith("classifier")}
    else:
        theirs = _ending_as(plain_backbone(saved, weights.spec), spec)
    if POSITIONS in theirs and weights.spec.grid != spec.grid:
        theirs[POSITIONS] = resize_positions(theirs[POSITIONS], weights.spec.grid, spec.grid)
    _carry_cameras(theirs, ours, weights.spec, spec)
    modules = {"backbone"} | {_module(name) for name in theirs}
    kept_fresh = {_module(name) for name in ours} - modules
    expected = {name: x.shape for name, x in ours.items() if _module(name) in modules}
    if SIE not in theirs and expected.pop(SIE, None):
        kept_fresh.add("sie_embed")
    refuse_unfit(weights.folder, expected, {name: x.shape for name, x in theirs.items()})
    return unflatten_dict({**ours, **theirs}, sep="/"), kept_fresh


def plain_backbone(saved: Arrays, spec: NetworkSpec) -> Arrays:
    """Returns a network's backbone with its last block and norm in it, as if it were no trunk.

    Of several last blocks it gets the family's first.
    """
    found = {name: x for name, x in saved.items() if _module(name) == "backbone"}
    for module in FAMILIES[spec.family].last_blocks[:1]:
        for theirs, ours in _moves(spec, module).items():
            found |= _renamed(saved, theirs, ours)
    return found


def _ending_as(backbone: Arrays, spec: NetworkSpec) -> Arrays:
    """Moves the last block and norm of a backbone to each place where the network has them."""
    modules = FAMILIES[spec.family].last_blocks
    if not modules:
        return backbone
    ends = tuple(_moves(spec, modules[0]).values())
    result = {name: x for name, x in backbone.items() if not name.startswith(ends)}
    for module in modules:
        for theirs, ours in _moves(spec, module).items():
            result |= _renamed(backbone, ours, theirs)
    return result


def _moves(spec: NetworkSpec, module: str) -> dict[str, str]:
    """Returns where a LastBlock's block and norm lie, and where in a whole backbone."""
    depth = VARIANTS[spec.variant].depth
    apart, whole = end_paths(depth, module), end_paths(depth)
    return {f"{theirs}/": f"{ours}/" for theirs, ours in zip(apart, whole, strict=True)}


def _renamed(arrays: Arrays, start: str, other: str) -> Arrays:
    """Returns the arrays whose paths begin with one start under paths that begin with the other."""
    found = {name: x for name, x in arrays.items() if name.startswith(start)}
    return {other + name.removeprefix(start): x for name, x in found.items()}


def _module(path: str) -> str:
    return path.split("/")[1]


def _told(variant: str, other: str) -> str:
    """Names the fields of a variant that differ from another's."""
    ours, theirs = (dataclasses.asdict(VARIANTS[name]) for name in (variant, other))
    return ", ".join(f"{name} {x}" for name, x in ours.items() if x != theirs[name])


def _carry_cameras(theirs: Arrays, ours: Arrays, source: NetworkSpec, target: NetworkSpec) -> None:
    """Rebuilds their side information embedding row by row; drops it where no row comes over.

    A row means one camera. The number of rows says nothing about which cameras they are. Another
    family may add the rows to other tokens.
    """
    table = theirs.pop(SIE, None)
    if source.family != target.family:
        return
    places = {camera: row for row, camera in enumerate(source.cameras)}
    known = [row for row, camera in enumerate(target.cameras) if camera in places]
    if SIE in ours and table is not None and known:
        theirs[SIE] = np.array(ours[SIE])
        theirs[SIE][known] = np.asarray(table)[[places[target.cameras[row]] for row in known]]
