"""How thresholds and rates would move with other people: bootstrap over identities.

The pairs of a person resemble each other, so that people are drawn anew, and not pairs (the subsets
bootstrap of Bolle, Ratha and Pankanti, CVIU 93, 2004, here for both people of an impostor pair).
"""

from typing import NamedTuple

import numpy as np

from dpeformer_jax.base.progress import progress
from dpeformer_jax.retrieval.calibration_pairs import Pairs
from dpeformer_jax.retrieval.confidence import LEVEL, Interval

RESAMPLES = 1000
# In simulated groups of 16 pictures a person, the rate that as many new people had at the threshold
# for 1 % (0.1 %) lay in its interval in 92 to 95 % (85 to 91 %) of the trials with 10 people, in 96
# to 98 % (84 to 100 %) with 22, in 98 to 99 % (96 to 98 %) with 50 (docs/calibration.md).
FEWEST = 20  # people


class Resamples(NamedTuple):
    """Of B groups of people, drawn anew as many as there are, at R rates: [B, R] each.

    threshold: that the group chose; +inf, like both rates, where it is larger than what was kept.
    rate: false-accept rate of all people at that threshold; new_rate: of the group, at the
    threshold that another group chose; accepted: true-accept rate of the group at the threshold
    that all people chose.
    """

    threshold: np.ndarray
    rate: np.ndarray
    new_rate: np.ndarray
    accepted: np.ndarray


def resample(
    pairs: Pairs, images: np.ndarray, rates: np.ndarray, thresholds: np.ndarray
) -> Resamples:
    """Draws groups of people.

    Args:
        images: [I] number of pictures of each person, drawn with them.
        rates, thresholds: [R] false-accept rates, and the thresholds that all people chose.
    """
    rng = np.random.default_rng(0)
    people = len(images)
    genuine = np.stack(
        [
            np.bincount(pairs.genuine_of[pairs.genuine <= t], minlength=people)
            for t in (*thresholds, np.inf)
        ]
    )
    nearest = pairs.nearest.astype(float)
    one, other = np.ascontiguousarray(pairs.nearest_of.T, dtype=np.intp)
    weights = np.zeros(len(nearest) + 1, np.int64)  # of all distances before each
    before, found = None, []
    for _ in progress(range(RESAMPLES + 1), title="intervals", unit="group"):
        times = rng.multinomial(people, np.full(people, 1 / people))
        # Two copies of a person are nobody's impostors.
        total = ((times @ images) ** 2 - times**2 @ images**2) // 2
        small = times.astype(np.int16)
        np.cumsum(small[one] * small[other], out=weights[1:])
        chosen = _thresholds(nearest, weights, rates * total)
        *accepted, known = genuine @ times
        if before is not None:
            rate = np.where(
                np.isinf(chosen), np.inf, np.searchsorted(nearest, chosen) / pairs.impostors
            )
            seen = np.searchsorted(nearest, before, side="right")
            new_rate = np.where(np.isinf(before), np.inf, weights[seen] / total)
            found.append((chosen, rate, new_rate, np.array(accepted) / known))
        before = chosen
    return Resamples(*map(np.array, zip(*found, strict=True)))


def _thresholds(nearest: np.ndarray, weights: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Returns the thresholds of weighted distances, [R]; +inf where it is not among them.

    weights: [K + 1] whole numbers, of all distances before each; allowed: [R] weight.
    """
    most = np.floor(allowed + 1e-9).astype(weights.dtype)
    over = np.searchsorted(weights, most, side="right") - 1  # first that is too much
    last = np.searchsorted(weights, weights[over]) - 1  # before it, the last that is there
    upper = np.append(nearest, np.inf)[over]
    lower = np.where(last < 0, upper, nearest[np.maximum(last, 0)])
    return np.where(np.isinf(upper), np.inf, (lower + np.where(np.isinf(upper), 0, upper)) / 2)


def interval(values: np.ndarray) -> Interval | None:
    """Returns the middle LEVEL of values [B]; None where the upper end is not known."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
    return None if np.isinf(high) else Interval(float(low), float(high))


def mirrored(values: np.ndarray, found: float) -> Interval | None:
    """Returns the basic bootstrap interval of what was found, from values [B] of groups.

    Thresholds of groups lie on one side of what was found as the truth lies on the other.
    """
    ends = interval(values)
    return None if ends is None else Interval(max(2 * found - ends.high, 0.0), 2 * found - ends.low)
