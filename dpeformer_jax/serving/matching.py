"""Do two pictures show the same person?"""

import dataclasses
from typing import Any

import numpy as np

from dpeformer_jax.base.pictures import Source
from dpeformer_jax.extractor import Extractor
from dpeformer_jax.retrieval.verdict import Judge, Level, read_judge


@dataclasses.dataclass(frozen=True)
class Match:
    """The answer to whether two pictures show the same person.

    feature: that was compared; distance: squared, of features at length 1, 0..4; verdict: "same",
    "different" or "unsure", None without calibration; level: the strictest threshold that accepts
    the pair, if one does; reason: why there is no verdict.
    """

    feature: str
    distance: float
    verdict: str | None
    level: Level | None
    reason: str

    @property
    def cosine(self) -> float:
        """Cosine of the features, -1..1."""
        return 1 - self.distance / 2

    def to_json(self) -> dict[str, Any]:
        """Returns the answer as plain JSON values."""
        told = dataclasses.asdict(self) | {"cosine": self.cosine}
        return told | {"level": None if self.level is None else self.level._asdict()}


def match(
    extractor: Extractor,
    first: Source,
    second: Source,
    *,
    cameras: tuple[str, str] = ("", ""),
    far: float | None = None,
) -> Match:
    """Compares two pictures and judges their distance by the calibration beside the weights.

    Args:
        cameras: of the two pictures; needed where the network embeds the camera.
        far: false-accept rate at which a pair counts as one person, one that was calibrated; None
            for 0.001 or what comes nearest.

    Raises:
        UserError: a picture cannot be read, the calibration cannot be used, or `far` is not in it.
    """
    judge = judge_of(extractor, far)
    rows = [extractor.spec.row_named(camera) for camera in cameras]
    name = extractor.feature
    one, other = extractor([first, second], rows, names=[name], unit_length=True)[name]
    distance = float(np.sum((one.astype(np.float64) - other) ** 2))
    return Match(name, distance, judge.verdict(distance), judge.strictest(distance), judge.reason)


def judge_of(extractor: Extractor, far: float | None = None) -> Judge:
    """Returns the thresholds of the feature that the extractor's pictures are compared by."""
    if extractor.preset is not None:
        return Judge(reason=f"thresholds do not hold for the preset {extractor.preset!r}")
    return read_judge(extractor.folder, extractor.fingerprint, extractor.feature, far)
