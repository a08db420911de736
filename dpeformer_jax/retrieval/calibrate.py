"""From which distance on is it the same person? What --mode=calibrate finds out.

Thresholds are chosen on labelled pictures of people that were not trained on and are not tested.
"""

import dataclasses
import logging
from typing import Any

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.calibration_bootstrap import FEWEST
from dpeformer_jax.retrieval.calibration_pairs import BINS, LARGEST, Pairs, People, measure
from dpeformer_jax.retrieval.distances import targets_of
from dpeformer_jax.retrieval.thresholds import FEWEST_ACCEPTED, threshold_of, thresholds_told

# In resamples more pairs than in the sample may lie below a threshold: so many times more are kept.
SAFETY = 3
MOST = 0.1  # false-accept rate that can be chosen
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)  # that tell of a distribution
LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class CalibrateSettings:
    """`config.calibrate`, see configs/default.py. Raises UserError for a rate that is none."""

    dataset: str = ""
    far: tuple[float, ...] = (1e-2, 1e-3, 1e-4)

    def __post_init__(self):
        right = [isinstance(rate, float | int) and 0 < rate <= MOST for rate in self.far]
        if not right or not all(right):
            raise UserError(
                f"config.calibrate.far = {tuple(self.far)} must be false-accept rates above 0 and "
                f"at most {MOST}, for example (0.01, 0.001)"
            )


def calibrate(
    clean: Features, occluded: Features, people: People, rates: tuple[float, ...]
) -> dict[str, Any]:
    """Returns, ready for JSON, the thresholds of each feature and how its pairs are distributed.

    Thresholds are chosen among pairs of clean pictures. Of the pairs with one and with two occluded
    pictures it is told what these thresholds accept, and which they would need.

    Args:
        clean, occluded: [M, F] by name at length 1, of the same M pictures.
        rates: the false-accept rates to choose thresholds for.

    Raises UserError where there is no genuine or no impostor pair.
    """
    targets, rates = targets_of(clean), np.array(sorted(set(rates), reverse=True))
    keep, none = min(1.0, SAFETY * rates[0]), {name: np.zeros(0) for name in targets}
    of_clean = measure(clean, None, people, targets, keep, none, "clean pairs")
    _refuse_few(next(iter(of_clean.values())), people)
    told = {name: thresholds_told(pairs, people, rates) for name, pairs in of_clean.items()}
    chosen = {
        name: np.array([-1.0 if of["distance"] is None else of["distance"] for of in thresholds])
        for name, thresholds in told.items()
    }
    found = {
        "clean": {n: _accepting(pairs, chosen[n]) for n, pairs in of_clean.items()},
        "mixed": measure(clean, occluded, people, targets, keep, chosen, "mixed pairs"),
        "occluded": measure(occluded, None, people, targets, keep, chosen, "occluded pairs"),
    }
    return {
        name: {
            "thresholds": told[name],
            "pairs": {k: _pairs_told(of[name], rates, chosen[name]) for k, of in found.items()},
        }
        for name in targets
    }


def _accepting(pairs: Pairs, thresholds: np.ndarray) -> Pairs:
    """Counts what thresholds [R] accept, which are below the largest distance that is kept."""
    return pairs._replace(accepted=np.searchsorted(pairs.nearest, thresholds, side="right"))


def _refuse_few(pairs: Pairs, people: People) -> None:
    seen = "of two cameras " if people.cameras is not None else ""
    if not len(pairs.genuine) or not pairs.impostors:
        raise UserError(
            f"{len(people.places)} pictures of {len(people.images)} identities have "
            f"{len(pairs.genuine)} pairs {seen}of one identity and {pairs.impostors} of two; "
            "calibration needs both: give a data set with more pictures of each person, or hold "
            "out more people"
        )
    if (usable := len(np.unique(pairs.genuine_of))) < FEWEST:
        LOG.warning(
            "%d identities with two pictures %sare too few for intervals, which need %d; hold out "
            "more people, or give another data set",
            *(usable, seen, FEWEST),
        )


def _pairs_told(pairs: Pairs, rates: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
    """Returns the distributions of one kind of pairs, and what the thresholds accept of it."""
    ranks = np.searchsorted(pairs.histogram.cumsum(), np.array(QUANTILES) * pairs.impostors)
    spread = [(ranks + 1) * LARGEST / BINS, np.quantile(pairs.genuine, QUANTILES)]
    impostor, genuine = (
        {f"{100 * q:g} %": round(float(x), 6) for q, x in zip(QUANTILES, of, strict=True)}
        for of in spread
    )
    needed = [
        threshold_of(pairs.nearest, n if n >= FEWEST_ACCEPTED else 0)
        for n in np.floor(rates * pairs.impostors + 1e-9).astype(int)
    ]
    at = [
        {
            "far": None if distance < 0 else int(number) / pairs.impostors,
            "tar": None if distance < 0 else float(np.mean(pairs.genuine <= distance)),
            "needed": need,
        }
        for distance, number, need in zip(chosen, pairs.accepted, needed, strict=True)
    ]
    return {
        "genuine": {"pairs": len(pairs.genuine), **genuine},
        "impostor": {"pairs": pairs.impostors, **impostor},
        "at_thresholds": at,
    }
