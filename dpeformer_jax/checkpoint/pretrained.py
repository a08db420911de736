"""Starts a network from saved weights, by a strict merge of parameters."""

from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dpeformer_jax.base.errors import UserError, mismatch
from dpeformer_jax.checkpoint.weights import Weights
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.vit import VARIANTS, resize_positions

POSITIONS, SIE = (f"params/backbone/{name}" for name in ("pos_embed", "sie_embed"))

Arrays = dict[str, Any]  # by path


def start_from(
    weights: Weights, fresh: dict[str, Any], spec: NetworkSpec
) -> tuple[dict[str, Any], set[str]]:
    """Lays saved weights over the fresh variables of the network that the spec defines.

    Classifiers stay fresh, for their rows are the identities of one training set. Of a backbone
    alone, all heads stay fresh. A position embedding of another patch grid is resized. The side
    information embedding keeps the rows of cameras that both networks name; others stay fresh.

    Returns:
        The variables, and the parts of the network that stayed fresh.

    Raises:
        UserError: names what does not fit: the variant; names missing or left over; shapes.
    """
    if weights.spec is None:
        raise UserError(f"{weights.folder} holds a memory bank and no network")
    source, target = weights.spec.variant, spec.variant
    if source != target:
        raise UserError(
            f"{weights.folder} holds a network of variant {source!r} ({_size(source)}); "
            f"config.model.variant = {target!r} is another ({_size(target)})"
        )
    ours, saved = (flatten_dict(x, sep="/") for x in (fresh, weights.variables))
    theirs = {name: x for name, x in saved.items() if not _module(name).endswith("_classifier")}
    if POSITIONS in theirs and weights.spec.grid != spec.grid:
        theirs[POSITIONS] = resize_positions(theirs[POSITIONS], weights.spec.grid, spec.grid)
    kept_fresh = _carry_cameras(theirs, ours, weights.spec, spec)
    modules = {"backbone"} | {_module(name) for name in theirs}
    expected = {name for name in ours if _module(name) in modules} - kept_fresh
    _refuse(weights, expected, ours, theirs)
    heads = {_module(name) for name in ours} - modules
    return unflatten_dict({**ours, **theirs}, sep="/"), heads | {"sie_embed" for _ in kept_fresh}


def _module(path: str) -> str:
    return path.split("/")[1]


def _size(variant: str) -> str:
    size = VARIANTS[variant]
    return f"width {size.width}, depth {size.depth}, patch {size.patch}"


def _carry_cameras(
    theirs: Arrays, ours: Arrays, source: NetworkSpec, target: NetworkSpec
) -> set[str]:
    """Rebuilds their side information embedding row by row; returns {SIE} where no row came over.

    A row means one camera. The number of rows says nothing about which cameras they are.
    """
    table = theirs.pop(SIE, None)
    if SIE not in ours:
        return set()
    places = {camera: row for row, camera in enumerate(source.cameras)}
    known = [row for row, camera in enumerate(target.cameras) if camera in places]
    if table is None or not known:
        return {SIE}
    rows = np.array(ours[SIE])
    rows[known] = np.asarray(table)[[places[target.cameras[row]] for row in known]]
    theirs[SIE] = rows
    return set()


def _refuse(weights: Weights, expected: set[str], ours: Arrays, theirs: Arrays) -> None:
    misshapen = [
        f"{name}: expected {ours[name].shape}, found {theirs[name].shape}"
        for name in sorted(expected & theirs.keys())
        if theirs[name].shape != ours[name].shape
    ]
    missing, left_over = sorted(expected - theirs.keys()), sorted(theirs.keys() - expected)
    if problems := mismatch(missing, left_over, misshapen):
        raise UserError(
            f"{weights.folder} does not fit the network of this config (- missing there, + left "
            f"over): {problems}"
        )
