"""Compares TransReID and CLIP-ReID: features, and TransReID's logits, losses and gradients."""

import dataclasses
from functools import partial
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from dpeformer_jax.checkpoint.weights import Weights
from dpeformer_jax.conversion.exchange import convert
from dpeformer_jax.conversion.formats import detect, table_of
from dpeformer_jax.conversion.mapping import to_theirs
from dpeformer_jax.model.families import build_network
from dpeformer_jax.model.network import Network
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.vit import LastBlock
from dpeformer_jax.training.objective import Objective
from tests.parity import released
from tests.parity.comparison import Quantity, Rows, relative

CAMERAS = np.array([0, 3, 7, 1, 5, 2, 6, 4])
LABELS = np.repeat([17, 345], 4)
COEFFICIENT = 3.0  # of the side information embedding, in all of these runs
NONE = dict.fromkeys(
    ("id_features", "id_global", "id_parts", "memory_clean", "memory_occluded"), 0.0
)
OBJECTIVE = Objective(**NONE, identity=1.0, triplet=1.0)
ZERO = 1e-6  # a norm in front of a BatchNorm has a bias without effect: its gradient is rounding


def transreid() -> list[Quantity]:
    """Compares four networks in evaluation, and three of them in training."""
    rows = Rows("transreid.npz")
    for name in ("base", "base_sie", "jpm"):
        weights, images = _weights(rows, name), released.images()
        _add_features(rows, name, _evaluate(weights, images)[0])
        _add_training(rows, name, weights, images)
    name = "jpm_sie_stride12"
    outputs, _ = _evaluate(_weights(rows, name), released.images()[:4])
    _add_features(rows, name, outputs)
    return rows


def clipreid() -> list[Quantity]:
    """Compares two networks in evaluation."""
    rows = Rows("clipreid.npz")
    for name, count in (("plain", 8), ("sie_stride12", 4)):
        outputs, tokens = _evaluate(_weights(rows, name), released.images()[:count])
        _add_features(rows, name, outputs)
        earlier = {f"{name}/block11_class": outputs.metric["earlier"]}
        rows.add(f"{name}: class token before the last block", 5e-5, earlier)
        rows.add(f"{name}: tokens", 5e-5, {f"{name}/tokens": tokens[:2]})
    return rows


def _weights(rows: Rows, name: str) -> Weights:
    """Returns the network that the converter makes of a golden run's state_dict."""
    names, shapes = (rows.values[f"{name}/{x}"] for x in ("names", "shapes"))
    state = released.by_rule(names, shapes)
    weights = convert(state, detect(state), None, None, lambda line: None)
    spec = dataclasses.replace(weights.spec, sie_coefficient=COEFFICIENT)
    return dataclasses.replace(weights, spec=spec)


def _evaluate(weights: Weights, images: np.ndarray) -> tuple[Outputs, Any]:
    """Returns the outputs, and the tokens of a last block that the backbone lacks, or None."""
    network = build_network(weights.spec)
    rows = CAMERAS[: len(images)] if weights.spec.sie_rows else None
    outputs, captured = _apply(network, weights.variables, images, rows)
    found = captured.get("intermediates", {}).get("last", {"__call__": (None,)})
    return outputs, found["__call__"][0]


@partial(jax.jit, static_argnames="network")
@jax.default_matmul_precision("highest")
def _apply(network: Network, variables: Any, images: jax.Array, rows: jax.Array | None) -> Any:
    last = lambda module, _: isinstance(module, LastBlock)  # noqa: E731
    return network.apply(variables, images, rows, capture_intermediates=last)


def _add_features(rows: Rows, name: str, outputs: Outputs) -> None:
    for feature, x in outputs.features.items():
        rows.add(f"{name}: {feature}", 5e-5, {f"{name}/{feature}": x})


def _add_training(rows: Rows, name: str, weights: Weights, images: np.ndarray) -> None:
    network, spec = build_network(weights.spec), weights.spec
    cameras = CAMERAS if spec.sie_rows else None
    (_, (outputs, terms)), gradient = _learn(network, weights.variables, images, cameras)
    logits = {f"{name}/train_logits": _side_by_side(outputs.logits)}
    rows.add(f"{name}: logits in training", 5e-5, logits)
    compared = {f"{name}/train_features": _side_by_side(outputs.metric)}
    rows.add(f"{name}: features in training", 5e-5, compared)
    rows.add(f"{name}: identity loss", 1e-4, {f"{name}/id_loss": terms["identity"]})
    rows.add(f"{name}: triplet loss", 1e-4, {f"{name}/triplet_loss": terms["triplet"]})
    flat = {f"params/{path}": x for path, x in flatten_dict(gradient, sep="/").items()}
    theirs = to_theirs(jax.tree.map(np.asarray, flat), table_of("transreid", spec))
    lengths = np.array([np.linalg.norm(theirs[key]) for key in rows.values[f"{name}/grad_names"]])
    clear = rows.values[f"{name}/grad_l2"] > ZERO
    ours = {f"{name}/grad_l2": lengths}
    rows.add(f"{name}: gradients, lengths", 1e-4, ours, relative, only=clear)


@partial(jax.jit, static_argnames="network")
@jax.default_matmul_precision("highest")
def _learn(network: Network, variables: Any, images: jax.Array, rows: jax.Array | None) -> Any:
    """Returns (loss, (outputs, terms)) of one view, and the gradient of all parameters."""
    keys = jax.random.split(jax.random.key(0), (1, len(images)))

    def loss(params: Any) -> Any:
        outputs, _ = network.apply(
            {**variables, "params": params},
            *(images[None], rows, keys),
            method="train_views",
            mutable=["batch_stats"],
        )
        found, terms = OBJECTIVE(outputs, LABELS, None)
        return found, (outputs[0], terms)

    return jax.value_and_grad(loss, has_aux=True)(variables["params"])


def _side_by_side(values: dict[str, jax.Array]) -> np.ndarray:
    """Joins "global" [B, F] and, where there are some, "local" [B, P, F] to [1 + P, B, F]."""
    if "local" not in values:
        return np.asarray(values["global"])
    local = np.asarray(values["local"]).swapaxes(0, 1)
    return np.concatenate([np.asarray(values["global"])[None], local])
