"""The selection of patches on tokens that the golden file holds."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.parity.comparison import Quantity, Rows, unequal
from dpeformer_jax.model.selection import (
    batch_bands,
    pool_selected,
    select_patches,
    shortened,
)

SCENARIOS = ("all_below", "mixed", "all_above", "all_equal", "single_large")
MIN_PATCHES = 24


def selection() -> list[Quantity]:
    """Choice, pooling and gradient of each scenario whose tokens are there."""
    rows = Rows("selection_synthetic.npz")
    for scenario in SCENARIOS:
        if f"{scenario}/x_local" in rows.values:
            _choice(rows, scenario)
            _pooling(rows, scenario)
    return rows


def _choice(rows: Rows, scenario: str) -> None:
    tokens = [rows.values[f"{scenario}/{name}"] for name in ("x_global", "x_local")]
    chosen, raw = (select_patches(*tokens, smallest) for smallest in (MIN_PATCHES, 0))
    rows.add(f"{scenario}: proxy patch", 0, {f"{scenario}/anchor": chosen.proxy}, unequal)
    counts = {f"{scenario}/K_raw": raw.count, f"{scenario}/min_value": chosen.count.min()}
    rows.add(f"{scenario}: number of patches", 0, counts, unequal)
    kept = np.arange(128) < chosen.count[:, None]
    order = {f"{scenario}/order": np.argsort(chosen.rank, axis=1)}
    rows.add(f"{scenario}: order of the kept", 0, order, unequal, only=kept)


def _pooling(rows: Rows, scenario: str) -> None:
    globe, patches = (rows.values[f"{scenario}/{name}"] for name in ("x_global", "x_local"))
    cotangent = rows.values[f"{scenario}/cotangent"]

    def pooled(patches: jax.Array) -> jax.Array:
        weights = shortened(select_patches(globe, patches, MIN_PATCHES))
        return pool_selected(patches, weights)[:, : cotangent.shape[1]]

    with jax.default_matmul_precision("highest"):
        kept = pooled(patches)
        gradient = jax.grad(lambda x: (pooled(x) * cotangent).sum())(jnp.asarray(patches))
        bands = batch_bands(select_patches(globe, patches, MIN_PATCHES), 4)
        parts = pool_selected(patches, bands)
    rows.add(f"{scenario}: pooled to the batch's K", 2e-5, {f"{scenario}/selected": kept})
    rows.add(f"{scenario}: four parts", 2e-5, {f"{scenario}/four_parts": parts})
    rows.add(f"{scenario}: gradient", 2e-5, {f"{scenario}/grad_x_local": gradient})
