"""How far a score would move with other test people: bootstrap over identities.

The queries of a person resemble each other, so that people are drawn anew and not queries.
"""

from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 9999
# In simulated data sets an interval held the truth in 81 % of the trials with 5 identities, in
# 90 % with 10 and in 93 % with 72.
FEWEST = 10  # identities


class Interval(NamedTuple):
    """Its two ends."""

    low: float
    high: float


def interval(values: np.ndarray, identities: np.ndarray) -> Interval | None:
    """Returns the 95 % percentile interval of the mean of values [Q], of the queries' identities.

    The same values give the same interval. None where there are fewer than FEWEST identities. For
    the difference of two networks give the differences, query by query.
    """
    places = np.unique(identities, return_inverse=True)[1]
    counts = np.bincount(places)
    if len(counts) < FEWEST:
        return None
    from scipy.stats import bootstrap  # takes a second to load

    found = bootstrap(
        (np.bincount(places, values), counts),
        _mean,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=100,  # keeps thousands of identities in the processor's cache
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def _mean(sums: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
    """Returns the mean over all queries from each identity's sum and number of queries."""
    return sums.sum(axis) / counts.sum(axis)
