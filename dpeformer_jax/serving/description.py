"""What a checkpoint is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from dpeformer_jax.checkpoint.checksums import fingerprint_of
from dpeformer_jax.checkpoint.weights import CONVERSION, Weights, load_weights, workdir_of
from dpeformer_jax.features import CONCAT, joined_by_concat
from dpeformer_jax.model.families import outputs_of
from dpeformer_jax.retrieval.calibration import read_calibration

TRAINED_ON, SCORES = "trained_on.json", ("eval.json", "eval_initial.json")
MEASURES = ("mAP", "rank1", "rank5")


def describe(checkpoint: Path) -> dict[str, Any]:
    """Returns, ready for JSON, what is known of a checkpoint.

    "spec" defines the network; "features" gives their widths; "weights" is their fingerprint;
    "trained_on" tells the training pictures and "converted_from" the file that it was converted
    from; "scores" are of these weights, by data set and feature; "calibration" holds the
    thresholds by feature. What is not known is None.

    Raises:
        UserError: there is no such checkpoint, or it or its calibration is damaged.
    """
    weights = load_weights(checkpoint)
    print_of = fingerprint_of(weights.variables)
    workdir = workdir_of(weights.folder)
    calibration = None
    if weights.spec is not None and weights.complete:
        calibration = read_calibration(weights.folder, print_of)
    return {
        "checkpoint": str(weights.folder),
        "step": weights.step,
        "weights": print_of,
        "whole": weights.complete and not weights.missing,
        "parameters": sum(x.size for x in jax.tree.leaves(weights.variables.get("params", {}))),
        "spec": None if weights.spec is None else weights.spec.to_json(),
        "features": _widths(weights),
        "trained_on": _read(workdir / TRAINED_ON),
        "converted_from": _read(weights.folder / CONVERSION),
        "scores": _scores(workdir, print_of),
        "calibration": None if calibration is None else _thresholds(calibration),
    }


def _widths(weights: Weights) -> dict[str, int] | None:
    if weights.spec is None:
        return None
    widths = {name: x.shape[1] for name, x in outputs_of(weights.spec).features.items()}
    joined = sum(widths[name] for name in joined_by_concat(widths))
    return widths | ({CONCAT: joined} if joined else {})


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _scores(workdir: Path, weights: str) -> dict[str, Any] | None:
    """Returns the scores of these weights in a workdir, by data set and feature."""
    for name in SCORES:
        report = _read(workdir / name)
        if isinstance(report, dict) and report.get("weights") == weights:
            return {data: _by_feature(told) for data, told in report["datasets"].items()}
    return None


def _by_feature(told: dict[str, Any]) -> dict[str, dict[str, float]]:
    features = {name: of for name, of in told.items() if isinstance(of, dict) and "mAP" in of}
    return {n: {measure: of[measure] for measure in MEASURES} for n, of in features.items()}


def _thresholds(calibration: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    shown = ("far", "distance", "cosine", "tar", "far_as_many", "reason")
    return {
        feature: [{name: of[name] for name in shown} for of in told["thresholds"]]
        for feature, told in calibration["features"].items()
    }
