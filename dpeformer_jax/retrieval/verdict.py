"""Is it the same person? A distance, judged by the thresholds that lie beside the weights."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.retrieval.calibration import NAME, read_calibration

SAME, DIFFERENT, UNSURE = "same", "different", "unsure"
FAR = 1e-3  # the false-accept rate that is chosen where nobody chooses, or the nearest to it
# Two people are farther apart than this share of the genuine pairs, clean and occluded ones.
NEARER = "95 %"
CALIBRATE = "`main.py --mode=calibrate` finds thresholds"


class Level(NamedTuple):
    """A threshold: pairs up to `distance` are accepted.

    far: share of the pairs of two people that are accepted; interval: its 95 % interval for new
    people, None where there were too few people; tar: share of the pairs of one person.
    """

    far: float
    distance: float
    interval: tuple[float, float] | None
    tar: float


@dataclasses.dataclass(frozen=True)
class Judge:
    """Tells pairs of one person from pairs of two by squared distances.

    levels: by falling false-accept rate; none where nothing is calibrated. accepts: the chosen one.
    different: pairs farther apart than this are of two people. reason: why there are no levels.
    """

    levels: tuple[Level, ...] = ()
    accepts: Level | None = None
    different: float | None = None
    reason: str = ""

    def verdict(self, distance: float) -> str | None:
        """Returns SAME, DIFFERENT or UNSURE; None where nothing is calibrated."""
        if self.accepts is None:
            return None
        if distance <= self.accepts.distance:
            return SAME
        return DIFFERENT if distance > self.different else UNSURE

    def strictest(self, distance: float) -> Level | None:
        """Returns the level of the lowest rate that accepts a distance; None where none does."""
        return next((of for of in reversed(self.levels) if distance <= of.distance), None)


def read_judge(folder: Path | None, weights: str, feature: str, far: float | None = None) -> Judge:
    """Reads the thresholds in a checkpoint's folder.

    Args:
        weights: fingerprint of the features; feature: their name.
        far: a false-accept rate that was calibrated; None for the one nearest to FAR.

    Raises:
        UserError: the calibration is damaged, of other weights or of a newer version; `far` was not
            calibrated.
    """
    calibration = None if folder is None else read_calibration(folder, weights)
    judge = _judge(calibration, folder, feature, far)
    if far is not None and judge.accepts is None:
        raise UserError(f"--far={far:g} needs thresholds, and {judge.reason}")
    return judge


def _judge(
    calibration: Mapping[str, Any] | None, folder: Path | None, feature: str, far: float | None
) -> Judge:
    if calibration is None:
        return Judge(reason=f"{folder} holds no {NAME}: {CALIBRATE}")
    if calibration["settings"].get("flip"):
        return Judge(
            reason=f"the thresholds of {folder} are of features averaged with the mirror image's "
            "(config.eval.flip); calibrate without it"
        )
    told = calibration["features"].get(feature, {"thresholds": ()})
    found = [of for of in told["thresholds"] if of["distance"] is not None]
    levels = [
        Level(of["far"], of["distance"], of["far_as_many"] and tuple(of["far_as_many"]), of["tar"])
        for of in sorted(found, key=lambda of: -of["far"])
    ]
    if not levels:
        return Judge(reason=f"{folder / NAME} holds no threshold of {feature!r}; {CALIBRATE}")
    accepts = min(levels, key=lambda level: abs(level.far - (FAR if far is None else far)))
    if far is not None and abs(accepts.far - far) > 1e-9:
        known = ", ".join(f"{level.far:g}" for level in levels)
        raise UserError(f"--far={far:g} is not one of the calibrated rates {known}")
    genuine = max(pairs["genuine"][NEARER] for pairs in told["pairs"].values())
    return Judge(tuple(levels), accepts, max(genuine, accepts.distance))
