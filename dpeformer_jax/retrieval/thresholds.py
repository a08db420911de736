"""Thresholds at chosen false-accept rates.

A pair is accepted where its distance is at most the threshold.
"""

from typing import Any

import numpy as np

from dpeformer_jax.retrieval.calibration_bootstrap import (
    FEWEST,
    Resamples,
    interval,
    mirrored,
    resample,
)
from dpeformer_jax.retrieval.calibration_pairs import Pairs, People

FEWEST_ACCEPTED = 10  # impostor pairs; of fewer a rate says little
# What is told of a threshold: the 95 % intervals of the distance; of the false-accept rate at it of
# very many new people, and of as many as these; and the same of the true-accept rate.
INTERVALS = ("distance_interval", "far_interval", "far_as_many", "tar_interval", "tar_as_many")


def threshold_of(nearest: np.ndarray, allowed: int) -> float | None:
    """Returns the largest threshold that accepts at most so many of distances [K], ascending.

    It lies in the middle between two distances. None where there is none, or none is known.
    """
    if not 0 < allowed < len(nearest):
        return None
    under = int(np.searchsorted(nearest, nearest[allowed]))  # fewer where distances are equal
    return None if not under else float((nearest[under - 1] + nearest[allowed]) / 2)


def thresholds_told(pairs: Pairs, people: People, rates: np.ndarray) -> list[dict[str, Any]]:
    """Returns what is told of each rate: the threshold, and what new people will see at it."""
    allowed = np.floor(rates * pairs.impostors + 1e-9).astype(int)
    enough = allowed >= FEWEST_ACCEPTED
    found = [threshold_of(pairs.nearest, number) for number in np.where(enough, allowed, 0)]
    resolved = [place for place, distance in enumerate(found) if distance is not None]
    told = [_unresolved(float(rate), pairs.impostors) for rate in rates]
    if not resolved:
        return told
    distances = np.array([found[place] for place in resolved])
    drawn = None
    if len(np.unique(pairs.genuine_of)) >= FEWEST:
        drawn = resample(pairs, people.images, rates[resolved], distances)
    for column, place in enumerate(resolved):
        distance = float(distances[column])
        accepted = float(np.mean(pairs.genuine <= distance))
        told[place] |= {
            "distance": distance,
            "cosine": 1 - distance / 2,
            "tar": accepted,
            "reason": None,
            **({} if drawn is None else _intervals(drawn, column, distance, accepted)),
        }
    return told


def _unresolved(rate: float, impostors: int) -> dict[str, Any]:
    reason = (
        f"{rate:g} of {impostors:,} impostor pairs is {rate * impostors:.3g} pairs; "
        f"{FEWEST_ACCEPTED} of different distances are needed"
    )
    names = ("distance", "cosine", "tar", *INTERVALS)
    return {"far": rate, **dict.fromkeys(names), "reason": reason}


def _intervals(drawn: Resamples, column: int, distance: float, accepted: float) -> dict[str, Any]:
    own = drawn.accepted[:, column]
    anew = np.clip(accepted + own - np.roll(own, 1), 0, 1)  # of a group, from that of another
    found = (
        mirrored(drawn.threshold[:, column], distance),
        interval(drawn.rate[:, column]),
        interval(drawn.new_rate[:, column]),
        interval(own),
        interval(anew),
    )
    return dict(zip(INTERVALS, found, strict=True))
