"""calibration.json: the same-person thresholds of one network, beside its weights.

A file holds a checksum of itself and the fingerprint of the weights that it is of.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dpeformer_jax.base.atomic_write import write_text
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.checksums import SEAL, seal
from dpeformer_jax.runtime.processes import is_first

NAME = "calibration.json"
VERSION = 1
MEND = "run --mode=calibrate again"

Calibration = Mapping[str, Any]


def write_calibration(folder: Path, told: Calibration) -> None:
    """Writes the calibration of the weights in a checkpoint's folder, whole or not at all.

    Raises UserError where the folder cannot be written.
    """
    if not is_first():
        return
    try:
        write_text(folder / NAME, json.dumps(seal({"version": VERSION, **told}), indent=2) + "\n")
    except OSError as error:
        raise UserError(
            f"{folder / NAME} cannot be written ({error}); make the checkpoint's folder writable, "
            "or calibrate a copy of it by --checkpoint"
        ) from error


def read_calibration(folder: Path, weights: str) -> Calibration | None:
    """Reads the calibration in a checkpoint's folder; None where there is none.

    weights: fingerprint of the checkpoint's variables. Raises UserError where the file is damaged,
    of a newer version, or of other weights.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        sealed = json.loads(path.read_text())
        told = {name: value for name, value in sealed.items() if name != SEAL}
        if sealed != seal(told):
            raise ValueError("it is not what was saved")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error}); remove it, or {MEND}") from error
    if told["version"] > VERSION:
        raise UserError(
            f"{path} has version {told['version']}, and this program knows {VERSION}; use the "
            f"program that wrote it, or {MEND}"
        )
    if told["weights"] != weights:
        raise UserError(
            f"{path} is of the weights {told['weights'][:8]}, and these are {weights[:8]}: its "
            f"thresholds mean nothing here; remove it, or {MEND}"
        )
    return told


def fits(calibration: Calibration, settings: Mapping[str, Any]) -> bool:
    """Tells whether thresholds hold for features of an evaluation's settings (eval.json)."""
    same = all(calibration["settings"].get(n) == settings.get(n) for n in ("flip", "batch_size"))
    return same and settings.get("metric", "cosine") == "cosine"


def thresholds_of(calibration: Calibration, feature: str) -> np.ndarray:
    """Returns the thresholds [R] of a feature, squared distances; none of a feature without any."""
    return np.array([of["distance"] for of in _found(calibration, feature)])


def at_thresholds(
    calibration: Calibration,
    feature: str,
    accepted: Sequence[int],
    impostors: int,
    genuine: np.ndarray,
) -> list[dict[str, Any]]:
    """Returns what a test set shows at the stored thresholds, beside what was promised.

    "as_promised" is whether the false-accept rate lies within the interval of a group of as many
    new people as were calibrated on; None where there is no interval.

    Args:
        accepted: [R] impostor pairs with a distance of at most each of `thresholds_of`.
        impostors: number of all impostor pairs; genuine: [P] distances of the genuine pairs.
    """
    told = []
    for of, number in zip(_found(calibration, feature), accepted, strict=True):
        rate, promised = float(number / impostors), of["far_as_many"]
        told.append(
            {
                "chosen_far": of["far"],
                "distance": of["distance"],
                "far": rate,
                "far_promised": promised,
                "as_promised": None if promised is None else promised[0] <= rate <= promised[1],
                "tar": float(np.mean(np.asarray(genuine) <= of["distance"])),
                "tar_promised": of["tar_as_many"],
            }
        )
    return told


def _found(calibration: Calibration, feature: str) -> list[dict[str, Any]]:
    """Returns what is told of each rate that has a threshold."""
    told = calibration["features"].get(feature, {"thresholds": ()})["thresholds"]
    return [of for of in told if of["distance"] is not None]
