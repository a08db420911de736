"""A network that starts from saved weights: a strict merge of parameters."""

from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from dpeformer_jax.errors import ConfigError, mismatch
from dpeformer_jax.model.description import Description, grid_of
from dpeformer_jax.model.vit import VARIANTS, resize_positions
from dpeformer_jax.weights import Weights

# Their rows are the identities of one training set, so they never leave it.
CLASSIFIERS = {f"{name}_classifier" for name in ("holistic", "blended", "global", "part")}
POSITIONS, SIDES = (f"params/backbone/{name}" for name in ("pos_embed", "sie_embed"))


def start_from(
    weights: Weights, fresh: dict[str, Any], model: Description
) -> tuple[dict[str, Any], set[str]]:
    """Lays saved weights over the fresh variables of the network `model`.

    Classifiers stay fresh; of a backbone alone all heads do. A position embedding of another
    patch grid is resized. A side information embedding that the network lacks, or has with another
    number of rows, is left out.

    Returns:
        The variables, and the parts of the network that stayed fresh.

    Raises:
        ConfigError: names what does not fit: the variant; names missing or left over; shapes.
    """
    if weights.model is None:
        raise ConfigError(f"{weights.folder} holds a memory bank and no network")
    source, target = weights.model["variant"], model["variant"]
    if source != target:
        raise ConfigError(
            f"{weights.folder} holds a network of variant {source!r} ({_size(source)}); "
            f"config.model.variant = {target!r} is another ({_size(target)})"
        )
    ours = flatten_dict(fresh, sep="/")
    theirs = _fitted(flatten_dict(weights.variables, sep="/"), ours, weights.model, model)
    modules = {"backbone"} | {name.split("/")[1] for name in theirs}
    fresh_names = {SIDES} & (ours.keys() - theirs.keys())
    expected = {name for name in ours if name.split("/")[1] in modules} - fresh_names
    _refuse(weights, expected, ours, theirs)
    kept = {name.split("/")[1] for name in ours} - modules
    return unflatten_dict({**ours, **theirs}, sep="/"), kept | {"sie_embed" for _ in fresh_names}


def _size(variant: str) -> str:
    size = VARIANTS[variant]
    return f"width {size.width}, depth {size.depth}, patch {size.patch}"


def _fitted(
    theirs: dict[str, Any], ours: dict[str, Any], source: Description, target: Description
) -> dict[str, Any]:
    theirs = {name: x for name, x in theirs.items() if name.split("/")[1] not in CLASSIFIERS}
    sides = theirs.get(SIDES)
    if sides is not None and (SIDES not in ours or ours[SIDES].shape != sides.shape):
        del theirs[SIDES]
    if POSITIONS in theirs and grid_of(source) != grid_of(target):
        theirs[POSITIONS] = resize_positions(theirs[POSITIONS], grid_of(source), grid_of(target))
    return theirs


def _refuse(
    weights: Weights, expected: set[str], ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    misshapen = [
        f"{name}: expected {ours[name].shape}, found {theirs[name].shape}"
        for name in sorted(expected & theirs.keys())
        if theirs[name].shape != ours[name].shape
    ]
    missing, left_over = sorted(expected - theirs.keys()), sorted(theirs.keys() - expected)
    if problems := mismatch(missing, left_over, misshapen):
        raise ConfigError(
            f"{weights.folder} does not fit the network of this config (- missing there, + left "
            f"over): {problems}"
        )
