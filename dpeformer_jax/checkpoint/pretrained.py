"""Starts a network from saved weights, by a strict merge of parameters."""

from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import Weights, refuse_unfit
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.vit import VARIANTS, resize_positions

POSITIONS, SIE = "params/backbone/pos_embed", "params/backbone/sie_embed"

Arrays = dict[str, Any]  # by path


def start_from(
    weights: Weights, fresh: dict[str, Any], spec: NetworkSpec
) -> tuple[dict[str, Any], set[str]]:
    """Lays saved weights over the fresh variables of the network that the spec defines.

    Classifiers stay fresh, for their rows are the identities of one training set. Of a backbone
    alone, all heads stay fresh. A position embedding of another patch grid is resized. The side
    information embedding keeps the rows of cameras that both networks name; others stay fresh.

    Returns the variables, and the parts of the network that stayed fresh. Raises UserError where
    the variant, a name or a shape does not fit.
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
    _carry_cameras(theirs, ours, weights.spec, spec)
    modules = {"backbone"} | {_module(name) for name in theirs}
    kept_fresh = {_module(name) for name in ours} - modules
    expected = {name: x.shape for name, x in ours.items() if _module(name) in modules}
    if SIE not in theirs and expected.pop(SIE, None):
        kept_fresh.add("sie_embed")
    refuse_unfit(weights.folder, expected, {name: x.shape for name, x in theirs.items()})
    return unflatten_dict({**ours, **theirs}, sep="/"), kept_fresh


def _module(path: str) -> str:
    return path.split("/")[1]


def _size(variant: str) -> str:
    size = VARIANTS[variant]
    return f"width {size.width}, depth {size.depth}, patch {size.patch}"


def _carry_cameras(theirs: Arrays, ours: Arrays, source: NetworkSpec, target: NetworkSpec) -> None:
    """Rebuilds their side information embedding row by row; drops it where no row comes over.

    A row means one camera. The number of rows says nothing about which cameras they are.
    """
    table = theirs.pop(SIE, None)
    places = {camera: row for row, camera in enumerate(source.cameras)}
    known = [row for row, camera in enumerate(target.cameras) if camera in places]
    if SIE in ours and table is not None and known:
        theirs[SIE] = np.array(ours[SIE])
        theirs[SIE][known] = np.asarray(table)[[places[target.cameras[row]] for row in known]]
