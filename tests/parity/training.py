"""Compares training: the recipe on golden inputs, and the first forward pass."""

from typing import Any

import jax
import numpy as np

from dpeformer_jax.conversion.mapping import Arrays
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.training import memory
from dpeformer_jax.training.objective import Objective, cross_entropy
from dpeformer_jax.training.optim import Schedule
from tests.parity import released
from tests.parity.comparison import Quantity, Rows, relative, unequal
from tests.parity.network import RELEASED, is_backbone, look_inside, weights

FILE = "dpeformer_train.npz"
SCHEDULE = Schedule(base=0.008, bias_factor=2.0, epochs=120, warmup_epochs=5)
OBJECTIVE = Objective(memory_epsilon=1e-6)
# The released program's names of our loss terms.
TERMS = {
    "id_features": "id_global4",
    "id_global": "id_cls2",
    "id_parts": "id_parts8",
    "memory_clean": "contrast_view1",
    "memory_occluded": "contrast_view2",
}


def recipe() -> list[Quantity]:
    """Compares learning rates, and losses and memory on the network's golden outputs."""
    rows = Rows(FILE)
    rates = np.array([SCHEDULE.rates(epoch) for epoch in range(121)])
    ours = {"lr_before_first_step": rates[0], "lr_weight": rates[1:, 0], "lr_bias": rates[1:, 1]}
    rows.add("learning rates of 120 epochs", 1e-6, ours, relative)
    labels, bank = rows.values["labels"], released.memory_bank()
    clean, occluded = _golden_outputs(rows.values)
    with jax.default_matmul_precision("highest"):
        loss, terms = OBJECTIVE((clean, occluded), labels, bank)
        updated = memory.update(bank, clean.features["holistic"], labels)
    _add_each_loss(rows, "golden logits", [clean, occluded])
    first = {f"steps/{key}": np.full(5, x) for key, x in in_their_terms(loss, terms).items()}
    rows.add("golden logits: losses", 1e-4, first, only=0)
    add_memory(rows, "golden x1_bn", "memory_rows1", updated)
    return rows


def forward() -> list[Quantity]:
    """Compares both views under training's statistics, before the first step."""
    rows = Rows(FILE)
    outputs, tokens, stats = both_views(weights())
    both = [look_inside(RELEASED, weights()["params"], x) for x in tokens]
    for view, inside, x in zip("12", both, outputs, strict=True):
        before, after = (f"parts_{place}_fbm_view{view}" for place in ("before", "after"))
        rows.add(f"view {view}: parts before FBM", 2e-5, {before: inside.before})
        rows.add(f"view {view}: parts after FBM", 1e-4, {after: inside.after})
        rows.add(f"view {view}: x{view}_bn", 5e-5, {f"x{view}_bn": x.features["holistic"]})
        rows.add(f"view {view}: x{view}_new", 1e-4, {f"x{view}_new": x.features["parts"]})
    counts = {
        "steps/K_raw": np.tile([x.count for x in both], (5, 1, 1)),
        "steps/min_value": np.tile([x.selection.count.min() for x in both], (5, 1)),
    }
    rows.add("number of patches", 0, counts, unequal, only=0)
    scores = {f"score/{i:02d}": x for i, x in enumerate(_in_their_order(*outputs))}
    rows.add("14 classifiers' logits", 5e-5, scores)
    _add_each_loss(rows, "our logits", outputs)
    add_statistics(rows, "after_forward1", stats, 1e-5)
    return rows


@jax.jit
@jax.default_matmul_precision("highest")
def _apply(variables, views):
    return RELEASED.apply(
        variables,
        views,
        None,
        jax.random.split(jax.random.key(0), views.shape[:2]),
        method=RELEASED.train_views,
        mutable=["batch_stats"],
        capture_intermediates=is_backbone,
    )


def both_views(variables: Any) -> tuple[tuple[Outputs, Outputs], list[np.ndarray], Any]:
    """Returns the outputs for the two views, the tokens of each, and the updated statistics."""
    outputs, updated = _apply(variables, released.views())
    tokens = np.asarray(updated["intermediates"]["backbone"]["__call__"][0])
    by_view = [tokens[view::2] for view in (0, 1)]  # an image's views lie side by side
    return outputs, by_view, updated["batch_stats"]


def _golden_outputs(values: Arrays) -> list[Outputs]:
    """Returns the golden outputs of both views, as far as the losses need them."""
    result = []
    for view in (0, 1):
        names = ("holistic", "parts", "global_token")
        logits = {name: values[f"score/{2 * i + view:02d}"] for i, name in enumerate(names)}
        each_part = [values[f"score/{6 + 4 * view + part:02d}"] for part in range(4)]
        logits["each_part"] = np.stack(each_part, axis=1)
        result.append(Outputs({"holistic": values[f"x{view + 1}_bn"]}, logits, {}))
    return result


def _in_their_order(clean: Outputs, occluded: Outputs) -> list[np.ndarray]:
    """Lists the logits in the order of the released program's 14 classifiers."""
    views = clean.logits, occluded.logits
    wholes = [x[name] for name in ("holistic", "parts", "global_token") for x in views]
    return wholes + [x["each_part"][:, part] for x in views for part in range(4)]


def _add_each_loss(rows: Rows, name: str, outputs: list[Outputs]) -> None:
    losses = [cross_entropy(x, rows.values["labels"]) for x in _in_their_order(*outputs)]
    ours = dict.fromkeys(("ce_each", "ce_each_f64"), losses)
    rows.add(f"{name}: 14 cross entropies", 1e-4, ours)


def in_their_terms(loss: np.ndarray, terms: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns our loss, its terms and two partial sums under the released program's names."""
    named = {theirs: terms[ours] for ours, theirs in TERMS.items()}
    contrast = named["contrast_view1"] + OBJECTIVE.memory_occluded * named["contrast_view2"]
    return {**named, "contrast": contrast, "loss": loss - contrast, "total": loss}


def add_memory(rows: Rows, name: str, key: str, bank: np.ndarray) -> None:
    """Adds rows of the batch's two identities and of all others, which must not change."""
    changed = np.isin(np.arange(len(bank)), rows.values["memory_labels"])
    bank, start = np.asarray(bank), released.memory_bank()
    rows.add(f"{name}: memory", 3e-5, {key: bank[changed]})
    moved = float(np.abs(bank - start)[~changed].max())
    rows.append(Quantity(f"{name}: memory of other identities", 0, moved, "absolute", ()))


def add_statistics(rows: Rows, key: str, stats: Any, tolerance: float) -> None:
    """Adds a row of the running means and variances of the eight norms."""
    both = stats["holistic_norm"], stats["part_norm"]
    ours = {f"bn/{key}/running_{x}": np.concatenate([n[x] for n in both]) for x in ("mean", "var")}
    rows.add(f"BN running mean and variance, {key.replace('_', ' ')}", tolerance, ours)
