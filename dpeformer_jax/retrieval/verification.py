"""From which distance on is it another person? ROC and true-accept rates at false-accept rates.

A pair is accepted where its distance is below a threshold. Genuine pairs show one person, impostor
pairs two. Impostor distances are counted in equal bins, so that any number of them takes the same
memory; what a bin leaves open is stated.
"""

from typing import Any, NamedTuple

import numpy as np

RATES = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4}
CURVE = np.logspace(-6, 0, 25)  # false-accept rates of the ROC


class Impostors(NamedTuple):
    """counts: [B] int64 number of pairs a bin; width: of a bin; error: of a pair's distance."""

    counts: np.ndarray
    width: float
    error: float

    @property
    def total(self) -> int:
        """Returns the number of pairs."""
        return int(self.counts.sum())

    def at_most(self, thresholds: np.ndarray) -> np.ndarray:
        """Returns the number of pairs up to each threshold [R], the rest of its bin included."""
        bins = np.clip(thresholds / self.width, 0, len(self.counts) - 1).astype(int)
        return self.counts.cumsum()[bins]


class Accepted(NamedTuple):
    """Shares of genuine pairs that are surely accepted, and by how much more it may be: [R] each.

    They are exact where `error` is 0, and NaN where there are too few impostor pairs for the rate.
    """

    share: np.ndarray
    error: np.ndarray


def true_accept_rates(genuine: np.ndarray, impostors: Impostors, rates: np.ndarray) -> Accepted:
    """Returns the true-accept rates at false-accept rates [R] of at most these.

    genuine: [M] distances of the genuine pairs, M > 0.
    """
    distances = np.sort(genuine)
    allowed = np.floor(impostors.total * rates + 1e-9)  # number of impostor pairs
    # The bin of the nearest pair that must not be accepted; past the last one all may be.
    bins = np.searchsorted(impostors.counts.cumsum(), allowed, side="right")
    low, high = (
        np.searchsorted(distances, edge) / len(distances)
        for edge in (
            bins * impostors.width - impostors.error,
            (bins + 1) * impostors.width + impostors.error,
        )
    )
    low, high = (np.where(bins >= len(impostors.counts), 1.0, share) for share in (low, high))
    resolved = allowed >= 1
    return Accepted(np.where(resolved, low, np.nan), np.where(resolved, high - low, np.nan))


def as_dict(genuine: np.ndarray, impostors: Impostors) -> dict[str, Any]:
    """Returns what eval.json says: "tar@1e-2" and so on, the curve, and the largest error."""
    named = true_accept_rates(genuine, impostors, np.array([*RATES.values()]))
    curve = true_accept_rates(genuine, impostors, CURVE)
    told = {f"tar@{name}": _plain(share) for name, share in zip(RATES, named.share, strict=True)}
    roc = {"far": [float(f"{rate:.4g}") for rate in CURVE], "tar": [*map(_plain, curve.share)]}
    errors = np.concatenate([named.error, curve.error, [0]])
    return told | {"roc": roc | {"error": float(np.nanmax(errors))}}


def _plain(share: float) -> float | None:
    return None if np.isnan(share) else float(share)
