"""The whole network in evaluation: as the released program computes, and as the paper says."""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import released
from benchmarks.parity.comparison import Quantity, Rows, unequal
from dpeformer_jax.model.blending import PartBlending
from dpeformer_jax.model.description import PRESETS, build_model
from dpeformer_jax.model.dpeformer import DPEFormer, Outputs, PartNorm
from dpeformer_jax.model.selection import (
    Selection,
    batch_bands,
    own_bands,
    pool_selected,
    select_patches,
    shortened,
)
from dpeformer_jax.model.vit import VisionTransformer

RELEASED = build_model(released.network(**PRESETS["released"]))
USUAL_HEADS = build_model(released.network(**PRESETS["released"] | {"head_merge": "image"}))
PAPER = build_model(released.network())
# Two neighbours of image 6 are closer than float32 resolves: they may change places.
CLEAR = [0, 1, 2, 3, 4, 5, 7]


class Inside(NamedTuple):
    """What the network computes between its backbone and its features.

    globe: [B, D]; patches: [B, N, D]; count: [B] how many patches lie above the drop, before the
    smallest number is enforced; before, after: [B, P, D] parts around the blending.
    """

    globe: jax.Array
    patches: jax.Array
    selection: Selection
    count: jax.Array
    before: jax.Array
    after: jax.Array


@partial(jax.jit, static_argnames="model")
@jax.default_matmul_precision("highest")
def look_inside(model: DPEFormer, params: Any, tokens: jax.Array) -> Inside:
    """The same again with the network's own pieces. tokens: [B, 1 + N, D] of the backbone."""
    globe, patches = tokens[:, 1 if model.global_token == "first_patch" else 0], tokens[:, 1:]
    chosen, unbounded = (select_patches(globe, patches, k) for k in (model.min_patches, 0))
    weigh = batch_bands if model.pooling == "batch" else own_bands
    before = pool_selected(patches, weigh(chosen, model.parts))
    blending = PartBlending(mix_batch=model.head_merge == "batch")
    after = blending.apply({"params": params["blending"]}, before, globe)
    return Inside(globe, patches, chosen, unbounded.count, before, after)


def is_backbone(module: Any, _: str) -> bool:
    """A filter for flax's `capture_intermediates`."""
    return isinstance(module, VisionTransformer)


@partial(jax.jit, static_argnames="model")
@jax.default_matmul_precision("highest")
def whole_network(model: DPEFormer, variables: Any, images: jax.Array) -> tuple[Outputs, jax.Array]:
    """The outputs, and the tokens of the backbone inside it."""
    outputs, captured = model.apply(variables, images, capture_intermediates=is_backbone)
    return outputs, captured["intermediates"]["backbone"]["__call__"][0]


@partial(jax.jit, static_argnames="model")
@jax.default_matmul_precision("highest")
def heads(model: DPEFormer, variables: Any, tokens: jax.Array) -> Outputs:
    """The network without its backbone, which takes most of the time and sees no other image."""
    return model.apply(variables, tokens, train=False, method="_heads")


@cache
def weights() -> Any:
    """The network's variables by the rule."""
    return jax.tree.map(jnp.asarray, released.dpeformer())


@cache
def main_batch() -> tuple[Outputs, jax.Array]:
    """The released program's outputs and backbone tokens of the eight images together."""
    return whole_network(RELEASED, weights(), released.images())


def evaluate(model: DPEFormer, tokens: jax.Array) -> tuple[Outputs, Inside]:
    """One batch, from its backbone tokens on."""
    return heads(model, weights(), tokens), look_inside(model, weights()["params"], tokens)


def each_alone(model: DPEFormer, tokens: jax.Array) -> tuple[Outputs, Inside]:
    """Every image as a batch of its own, put together again."""
    alone = [evaluate(model, token[None]) for token in tokens]
    return jax.tree.map(lambda *x: np.concatenate(x), *alone)


def released_evaluation() -> list[Quantity]:
    """Features in four batches, since they depend on the batch, and what depends on what."""
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
    rows.add("memory_only", 3e-5, {"memory_only": outputs.holistic})
    rows.add("recon: x1_new", 1e-4, {"recon_x1_new": _reconstructed(inside)})
    usual, _ = evaluate(USUAL_HEADS, tokens)
    rows.add("heads merged as usual: x1_new", 1e-4, {"variant_usual_heads/x1_new": usual.parts})
    reached = {"influence": _influence(tokens)}
    rows.add("which image's noise reaches which", 0, reached, zero_pattern)
    return rows


def paper_evaluation() -> list[Quantity]:
    """Each image alone, as the default configuration computes."""
    rows = Rows("dpeformer_paper_eval.npz")
    outputs, inside = each_alone(PAPER, main_batch()[1])
    _add_features(rows, "", "paper", outputs, inside, CLEAR)
    _add_choice(rows, "", "paper", inside)
    rows.add("paper: global token", 5e-5, {"x1_global": inside.globe})
    return rows


def _add_features(
    rows: Rows, prefix: str, name: str, outputs: Outputs, inside: Inside, only: Any = ...
) -> None:
    """only: images whose selected patches have an order that float32 resolves."""
    which = "" if only is ... else " (all but image 6)"
    rows.add(f"{name}: x1_bn", 3e-5, {f"{prefix}x1_bn": outputs.holistic})
    before, after = ({f"{prefix}parts_{x}_fbm": getattr(inside, x)} for x in ("before", "after"))
    rows.add(f"{name}: parts before FBM{which}", 2e-5, before, only=only)
    rows.add(f"{name}: parts after FBM{which}", 1e-4, after, only=only)
    rows.add(f"{name}: x1_new{which}", 1e-4, {f"{prefix}x1_new": outputs.parts}, only=only)


def _add_counts(rows: Rows, prefix: str, name: str, inside: Inside) -> None:
    count = inside.selection.count
    ours = {"K_raw": inside.count, "K_clamped": count, "min_value": count.min()}
    ours = {f"{prefix}{key}": value for key, value in ours.items()}
    rows.add(f"{name}: number of patches", 0, ours, unequal)


def _add_choice(rows: Rows, prefix: str, name: str, inside: Inside) -> None:
    """Proxy, numbers, and how far the choice is from another one."""
    _add_counts(rows, prefix, name, inside)
    rows.add(f"{name}: proxy patch", 0, {f"{prefix}anchor": inside.selection.proxy}, unequal)
    affinity, similarity = _similarities(inside)
    drops = -np.diff(similarity, axis=1)
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
    rows.add(f"{name}: global token", 5e-5, {f"{prefix}x1_global": inside.globe})
    rows.add(f"{name}: patch tokens", 5e-5, {f"{prefix}x1_local_all": inside.patches})
    falling = {f"{prefix}sorted_sim": _similarities(inside)[1]}
    rows.add(f"{name}: sorted similarities", 5e-3, falling)
    kept = np.arange(128) < np.asarray(inside.selection.count)[:, None]
    order = {f"{prefix}order": np.argsort(inside.selection.rank, axis=1)}
    rows.add(f"{name}: order of the kept", 0, order, unequal, only=kept)
    with jax.default_matmul_precision("highest"):
        pooled = pool_selected(inside.patches, shortened(inside.selection))[:, :24, ::16]
    rows.add(f"{name}: pooled to the batch's K", 2e-5, {f"{prefix}selected_pooled_sub": pooled})


def _similarities(inside: Inside) -> tuple[np.ndarray, np.ndarray]:
    """Falling: of all patches [B, N] to the global token, and to the proxy patch."""
    patches, proxy = np.asarray(inside.patches), np.asarray(inside.selection.proxy)
    own = patches[np.arange(len(patches)), proxy]
    falling = (-np.sort(-np.einsum("bd,bnd->bn", x, patches)) for x in (inside.globe, own))
    return tuple(falling)


def _reconstructed(inside: Inside) -> np.ndarray:
    """x1_new of the released program's other branch, which it never calls and ours lacks."""
    globe, parts = np.asarray(inside.globe), []
    for i in range(4):
        part, prefix = np.asarray(inside.before[:, i]), f"REM_zx.{i}."
        query = _linear(f"{prefix}conv_query", part, 768)
        key = _linear(f"{prefix}conv_part", globe, 768)
        hidden = _linear(f"{prefix}linear1", np.concatenate([query, key], axis=1), 768)
        gate = 1 / (1 + np.exp(-_linear(f"{prefix}linear2", hidden, 1)))
        lacking = gate * _linear(f"{prefix}conv_value", globe, 768) + globe
        parts.append(part + released.rule(f"{prefix}param", (1,)) * lacking)
    norm = {"params": weights()["params"]["part_norm"]}
    norm["batch_stats"] = weights()["batch_stats"]["part_norm"]
    return PartNorm().apply(norm, np.stack(parts, axis=1), False).reshape(len(globe), -1)


def _linear(name: str, x: np.ndarray, width: int) -> np.ndarray:
    weight = released.rule(f"{name}.weight", (width, x.shape[1]))
    return x @ weight.T + released.rule(f"{name}.bias", (width,))


def _influence(tokens: jax.Array) -> np.ndarray:
    """[B, B] relative change of a row's x1_new when the column's image gets small noise."""
    noise = 0.01 * np.random.default_rng(0).standard_normal((8, 256, 128, 3), np.float32)
    noisy = whole_network(RELEASED, weights(), released.images() + noise)[1]
    usual = heads(RELEASED, weights(), tokens).parts
    columns = []
    for image in range(len(tokens)):
        changed = heads(RELEASED, weights(), tokens.at[image].set(noisy[image])).parts - usual
        columns.append(jnp.linalg.norm(changed, axis=1) / jnp.linalg.norm(usual, axis=1))
    return np.stack(columns, axis=1)


def zero_pattern(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Whether one is zero and the other is not."""
    return (ours > 0) != (theirs > 0)
