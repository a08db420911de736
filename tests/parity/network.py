"""Compares the whole network in evaluation: as the released program computes, and as the paper."""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dpeformer_jax.model.blending import PartBlending
from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.model.families import build_network
from dpeformer_jax.model.heads import PartNorm
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.selection import (
    Selection,
    batch_bands,
    own_bands,
    pool_selected,
    select_patches,
    shortened,
)
from dpeformer_jax.model.spec import PRESETS
from dpeformer_jax.model.vit import VisionTransformer
from tests.parity import released
from tests.parity.comparison import Quantity, Rows, unequal

RELEASED = build_network(released.network(**PRESETS["released"]))
USUAL_HEADS = build_network(released.network(**PRESETS["released"] | {"head_merge": "image"}))
PAPER = build_network(released.network())
# All but image 6: two of its neighbouring patches are closer than float32 resolves, and may
# exchange their places.
CLEAR = [0, 1, 2, 3, 4, 5, 7]


class Inside(NamedTuple):
    """The network's values between its backbone and its features.

    global_token: [B, D].
    patches: [B, N, D].
    count: [B] number of patches above the drop, before the smallest number is enforced.
    before, after: [B, P, D] parts around the blending.
    """

    global_token: jax.Array
    patches: jax.Array
    selection: Selection
    count: jax.Array
    before: jax.Array
    after: jax.Array


@partial(jax.jit, static_argnames="network")
@jax.default_matmul_precision("highest")
def look_inside(network: DPEFormer, params: Any, tokens: jax.Array) -> Inside:
    """Computes the values from the backbone's tokens [B, 1 + N, D] by the network's own pieces."""
    spec = network.spec
    global_token = tokens[:, 1 if spec.global_token == "first_patch" else 0]
    patches = tokens[:, 1:]
    chosen, unbounded = (select_patches(global_token, patches, k) for k in (spec.min_patches, 0))
    weigh = batch_bands if spec.pooling == "batch" else own_bands
    before = pool_selected(patches, weigh(chosen, spec.parts))
    blending = PartBlending(mix_batch=spec.head_merge == "batch")
    after = blending.apply({"params": params["blending"]}, before, global_token)
    return Inside(global_token, patches, chosen, unbounded.count, before, after)


def is_backbone(module: Any, _: str) -> bool:
    """Selects the backbone, as a filter for flax's `capture_intermediates`."""
    return isinstance(module, VisionTransformer)


@partial(jax.jit, static_argnames="network")
@jax.default_matmul_precision("highest")
def whole_network(
    network: DPEFormer, variables: Any, images: jax.Array
) -> tuple[Outputs, jax.Array]:
    """Returns the outputs, and the tokens of the backbone."""
    outputs, captured = network.apply(variables, images, capture_intermediates=is_backbone)
    return outputs, captured["intermediates"]["backbone"]["__call__"][0]


@partial(jax.jit, static_argnames="network")
@jax.default_matmul_precision("highest")
def heads(network: DPEFormer, variables: Any, tokens: jax.Array) -> Outputs:
    """Applies the network without its backbone.

    The backbone takes most of the time, and treats each image on its own.
    """
    return network.apply(variables, tokens, train=False, method="heads")


@cache
def weights() -> Any:
    """Returns the network's variables by the rule."""
    return jax.tree.map(jnp.asarray, released.dpeformer())


@cache
def main_batch() -> tuple[Outputs, jax.Array]:
    """Returns the released network's outputs and tokens for the eight images as one batch."""
    return whole_network(RELEASED, weights(), released.images())


def evaluate(network: DPEFormer, tokens: jax.Array) -> tuple[Outputs, Inside]:
    """Evaluates one batch from its tokens on."""
    return heads(network, weights(), tokens), look_inside(network, weights()["params"], tokens)


def each_alone(network: DPEFormer, tokens: jax.Array) -> tuple[Outputs, Inside]:
    """Evaluates every image as a batch of its own, and joins the results."""
    alone = [evaluate(network, token[None]) for token in tokens]
    return jax.tree.map(lambda *x: np.concatenate(x), *alone)


def released_evaluation() -> list[Quantity]:
    """Compares features in four batches, since they depend on the batch, and that dependence."""
    rows = Rows("dpeformer_eval.npz")
    outputs, tokens = main_batch()
    inside = look_inside(RELEASED, weights()["params"], tokens)
    _add_features(rows, "b8/", "8 images", outputs, inside)
    _add_choice(rows, "b8/", "8 images", inside)
    _add_tokens(rows, "b8/", "8 images", inside)
    for prefix, name in (("b3/", "3 images"), ("k25plus/", "6 images with K > 24")):
        part = rows.values[f"{prefix}indices"]
        found = evaluate(RELEASED, tokens[part])
        _add_features(rows, prefix, name, *found)
        _add_counts(rows, prefix, name, found[1])
    alone = each_alone(RELEASED, tokens)
    _add_features(rows, "single/", "each image alone", *alone)
    counts = {"single/min_value": alone[1].selection.count}
    rows.add("each image alone: number of patches", 0, counts, unequal)
    rows.add("memory_only", 3e-5, {"memory_only": outputs.features["holistic"]})
    rows.add("recon: x1_new", 1e-4, {"recon_x1_new": _reconstructed(inside)})
    usual = heads(USUAL_HEADS, weights(), tokens).features["parts"]
    rows.add("heads merged as usual: x1_new", 1e-4, {"variant_usual_heads/x1_new": usual})
    reached = {"influence": _influence(tokens)}
    rows.add("which image's noise reaches which", 0, reached, zero_pattern)
    return rows


def paper_evaluation() -> list[Quantity]:
    """Compares each image alone, as the default configuration computes."""
    rows = Rows("dpeformer_paper_eval.npz")
    outputs, inside = each_alone(PAPER, main_batch()[1])
    _add_features(rows, "", "paper", outputs, inside, CLEAR)
    _add_choice(rows, "", "paper", inside)
    rows.add("paper: global token", 5e-5, {"x1_global": inside.global_token})
    return rows


def _add_features(
    rows: Rows, prefix: str, name: str, outputs: Outputs, inside: Inside, only: Any = ...
) -> None:
    """Adds rows of features and parts.

    only: images whose selected patches have an order that float32 resolves.
    """
    which = "" if only is ... else " (all but image 6)"
    holistic, parts = (outputs.features[x] for x in ("holistic", "parts"))
    rows.add(f"{name}: x1_bn", 3e-5, {f"{prefix}x1_bn": holistic})
    before, after = ({f"{prefix}parts_{x}_fbm": getattr(inside, x)} for x in ("before", "after"))
    rows.add(f"{name}: parts before FBM{which}", 2e-5, before, only=only)
    rows.add(f"{name}: parts after FBM{which}", 1e-4, after, only=only)
    rows.add(f"{name}: x1_new{which}", 1e-4, {f"{prefix}x1_new": parts}, only=only)


def _add_counts(rows: Rows, prefix: str, name: str, inside: Inside) -> None:
    count = inside.selection.count
    ours = {"K_raw": inside.count, "K_clamped": count, "min_value": count.min()}
    ours = {f"{prefix}{key}": value for key, value in ours.items()}
    rows.add(f"{name}: number of patches", 0, ours, unequal)


def _add_choice(rows: Rows, prefix: str, name: str, inside: Inside) -> None:
    """Adds rows of the proxy patch, the counts, and the margins to another choice."""
    _add_counts(rows, prefix, name, inside)
    rows.add(f"{name}: proxy patch", 0, {f"{prefix}anchor": inside.selection.proxy}, unequal)
    affinity = _falling(np.einsum("bd,bnd->bn", inside.global_token, inside.patches))
    drops = -np.diff(_falling(inside.selection.similarity), axis=1)
    chosen = np.arange(drops.shape[1]) < np.asarray(inside.selection.count)[:, None] - 1
    margins = {
        "largest_drop": np.sort(drops, axis=1)[:, -1],
        "second_drop": np.sort(drops, axis=1)[:, -2],
        "min_gap_within_topK": np.where(chosen, drops, np.inf).min(axis=1),
        "anchor_margin": affinity[:, 0] - affinity[:, 1],
    }
    margins = {f"{prefix}{key}": value for key, value in margins.items()}
    rows.add(f"{name}: margins of the choice", 1e-2, margins)


def _add_tokens(rows: Rows, prefix: str, name: str, inside: Inside) -> None:
    selection = inside.selection
    rows.add(f"{name}: global token", 5e-5, {f"{prefix}x1_global": inside.global_token})
    rows.add(f"{name}: patch tokens", 5e-5, {f"{prefix}x1_local_all": inside.patches})
    falling = {f"{prefix}sorted_sim": _falling(selection.similarity)}
    rows.add(f"{name}: sorted similarities", 5e-3, falling)
    kept = np.arange(128) < np.asarray(selection.count)[:, None]
    order = {f"{prefix}order": np.argsort(selection.rank, axis=1)}
    rows.add(f"{name}: order of the kept", 0, order, unequal, only=kept)
    with jax.default_matmul_precision("highest"):
        pooled = pool_selected(inside.patches, shortened(selection))[:, :24, ::16]
    rows.add(f"{name}: pooled to the batch's K", 2e-5, {f"{prefix}selected_pooled_sub": pooled})


def _falling(x: Any) -> np.ndarray:
    """Sorts each row of [B, N] in falling order."""
    return -np.sort(-np.asarray(x), axis=1)


def _reconstructed(inside: Inside) -> np.ndarray:
    """Computes x1_new of the released program's other branch.

    The released program never calls this branch, and this program lacks it.
    """
    global_token, parts = np.asarray(inside.global_token), []
    for i in range(4):
        part, prefix = np.asarray(inside.before[:, i]), f"REM_zx.{i}."
        query = _linear(f"{prefix}conv_query", part, 768)
        key = _linear(f"{prefix}conv_part", global_token, 768)
        hidden = _linear(f"{prefix}linear1", np.concatenate([query, key], axis=1), 768)
        gate = 1 / (1 + np.exp(-_linear(f"{prefix}linear2", hidden, 1)))
        lacking = gate * _linear(f"{prefix}conv_value", global_token, 768) + global_token
        parts.append(part + released.rule(f"{prefix}param", (1,)) * lacking)
    norm = {kind: weights()[kind]["part_norm"] for kind in ("params", "batch_stats")}
    return PartNorm().apply(norm, np.stack(parts, axis=1), False).reshape(len(global_token), -1)


def _linear(name: str, x: np.ndarray, width: int) -> np.ndarray:
    weight = released.rule(f"{name}.weight", (width, x.shape[1]))
    return x @ weight.T + released.rule(f"{name}.bias", (width,))


def _influence(tokens: jax.Array) -> np.ndarray:
    """Returns the relative change [B, B] of a row's x1_new for small noise in a column's image."""
    noise = 0.01 * np.random.default_rng(0).standard_normal((8, 256, 128, 3), np.float32)
    noisy = whole_network(RELEASED, weights(), released.images() + noise)[1]
    usual = heads(RELEASED, weights(), tokens).features["parts"]
    columns = []
    for image in range(len(tokens)):
        changed = heads(RELEASED, weights(), tokens.at[image].set(noisy[image])).features["parts"]
        change = jnp.linalg.norm(changed - usual, axis=1)
        columns.append(change / jnp.linalg.norm(usual, axis=1))
    return np.stack(columns, axis=1)


def zero_pattern(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Tells where one is zero and the other is not."""
    return (ours > 0) != (theirs > 0)
