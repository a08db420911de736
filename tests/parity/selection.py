"""Compares the selection of patches on tokens that the golden file holds."""

from typing import Any

import jax
import numpy as np

from dpeformer_jax.model.selection import (
    batch_bands,
    pool_selected,
    select_patches,
    shortened,
)
from tests.parity.comparison import Quantity, Rows, unequal

SCENARIOS = ("all_below", "mixed", "all_above", "all_equal", "single_large")
MIN_PATCHES = 24


def selection() -> list[Quantity]:
    """Compares choice, pooling and gradient of each scenario that the file holds."""
    rows = Rows("selection_synthetic.npz")
    for scenario in SCENARIOS:
        if f"{scenario}/x_local" in rows.values:
            _add_scenario(rows, scenario)
    return rows


def _add_scenario(rows: Rows, scenario: str) -> None:
    global_token, patches, cotangent = (
        rows.values[f"{scenario}/{name}"] for name in ("x_global", "x_local", "cotangent")
    )
    smallest = cotangent.shape[1]
    padded = np.pad(cotangent, ((0, 0), (0, patches.shape[1] - smallest), (0, 0)))
    chosen, count, kept, parts, gradient = _select(global_token, patches, padded)

    def add(name: str, tolerance: float, ours: dict[str, Any], **how: Any) -> None:
        ours = {f"{scenario}/{key}": value for key, value in ours.items()}
        rows.add(f"{scenario}: {name}", tolerance, ours, **how)

    add("proxy patch", 0, {"anchor": chosen.proxy}, measure=unequal)
    counts = {"K_raw": count, "min_value": chosen.count.min()}
    add("number of patches", 0, counts, measure=unequal)
    order = {"order": np.argsort(chosen.rank, axis=1)}
    nearest = np.arange(patches.shape[1]) < np.asarray(chosen.count)[:, None]
    add("order of the kept", 0, order, measure=unequal, only=nearest)
    add("pooled to the batch's K", 2e-5, {"selected": kept[:, :smallest]})
    add("four parts", 2e-5, {"four_parts": parts})
    add("gradient", 2e-5, {"grad_x_local": gradient})


@jax.jit
@jax.default_matmul_precision("highest")
def _select(global_token: jax.Array, patches: jax.Array, cotangent: jax.Array) -> tuple:
    """Returns the selection, the counts without a smallest one, pooled patches, parts, gradient."""

    def pooled(patches: jax.Array) -> jax.Array:
        weights = shortened(select_patches(global_token, patches, MIN_PATCHES))
        return pool_selected(patches, weights)

    chosen, unbounded = (select_patches(global_token, patches, k) for k in (MIN_PATCHES, 0))
    kept, backward = jax.vjp(pooled, patches)
    parts = pool_selected(patches, batch_bands(chosen, 4))
    return chosen, unbounded.count, kept, parts, backward(cotangent)[0]
