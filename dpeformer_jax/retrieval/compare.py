"""Compares the scores of two workdirs, A and B."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from dpeformer_jax.retrieval.confidence import interval
from dpeformer_jax.retrieval.scored_run import ScoredRun

NO_SETTINGS = "the settings are not compared, for one of the trainings has no config.json"


def compare(
    a: ScoredRun, b: ScoredRun, differing: Sequence[tuple[str, Any, Any]] | None
) -> dict[str, Any]:
    """Returns the comparison of A and B, ready for JSON; scores are fractions of 1.

    differing: settings that are not the same in both: name, value in A, value in B; None where a
    run's settings are not known.
    """
    settings = [{"name": name, "A": of_a, "B": of_b} for name, of_a, of_b in differing or ()]
    unknown = [] if differing is not None else [NO_SETTINGS]
    return {
        "A": {"workdir": str(a.workdir), "step": a.report["step"]},
        "B": {"workdir": str(b.workdir), "step": b.report["step"]},
        "settings": settings,
        "datasets": {name: _data_set(name, a, b) for name in _common(a.datasets, b.datasets)},
        "notes": [*unknown, *_only_one(a, b), *_unlike(a, b), *_without_rows(a, b)],
    }


def _data_set(name: str, a: ScoredRun, b: ScoredRun) -> dict[str, Any]:
    features = _common(a.features(name), b.features(name))
    return {
        "queries": {"A": a.datasets[name]["queries_used"], "B": b.datasets[name]["queries_used"]},
        "features": {feature: _feature(name, feature, a, b) for feature in features},
    }


def _feature(name: str, feature: str, a: ScoredRun, b: ScoredRun) -> dict[str, Any]:
    """Returns {measure: {"A": {"score", "interval"}, "B": ..., "B - A": ...}}.

    "B - A" is of each query by itself, and None where the two are scored on different pictures.
    """
    of_a, of_b = a.queries(name, feature), b.queries(name, feature)
    _, in_a, in_b = np.intersect1d(of_a.paths, of_b.paths, return_indices=True)
    same = _same_pictures(name, a, b)
    compared = {}
    for measure in of_a.values:
        score_a, score_b = (run.datasets[name][feature][measure] for run in (a, b))
        values_a, values_b = of_a.values[measure], of_b.values[measure]
        change = values_b[in_b] - values_a[in_a]
        compared[measure] = {
            "A": _told(score_a, values_a, of_a.identities),
            "B": _told(score_b, values_b, of_b.identities),
            "B - A": _told(score_b - score_a, change, of_a.identities[in_a]) if same else None,
        }
    return compared


def _told(score: float, values: np.ndarray, identities: np.ndarray) -> dict[str, Any]:
    return {"score": score, "interval": interval(values, identities)}


def _only_one(a: ScoredRun, b: ScoredRun) -> Iterator[str]:
    """Names the data sets and features of one run alone."""
    for side, one, other in (("A", a, b), ("B", b, a)):
        if alone := [name for name in one.datasets if name not in other.datasets]:
            yield f"only {side} is scored on {', '.join(alone)}"
        for name in _common(one.datasets, other.datasets):
            known = other.features(name)
            if alone := [feature for feature in one.features(name) if feature not in known]:
                yield f"only {side} has, on {name}, the features {', '.join(alone)}"


def _unlike(a: ScoredRun, b: ScoredRun) -> Iterator[str]:
    """Says what besides the networks is not the same: pictures, evaluation, training data."""
    for name in _common(a.datasets, b.datasets):
        if not _same_pictures(name, a, b):
            yield f"A and B are scored on different pictures of {name}, so no difference is given"
    settings = [run.report.get("settings", {}) for run in (a, b)]
    for name in sorted(set().union(*settings) - {"features"}):  # which `_only_one` compares
        of_a, of_b = (of.get(name, "not recorded") for of in settings)
        if of_a != of_b:
            yield f"A and B are scored differently: {name} is {of_a} in A and {of_b} in B"
    if a.origin.fingerprints != b.origin.fingerprints:
        of_a, of_b = (str(run.origin) or "what its report does not say" for run in (a, b))
        yield f"A and B are trained on different data: A on {of_a}; B on {of_b}"


def _without_rows(a: ScoredRun, b: ScoredRun) -> Iterator[str]:
    """Names the scores that have no interval."""
    for side, run in (("A", a), ("B", b)):
        names = [name for name in _common(a.datasets, b.datasets) if not run.has_rows(name)]
        if names:
            yield (
                f"{side} lacks the results of each query of {', '.join(names)}, so there are no "
                f"intervals; {run.mend}"
            )


def _same_pictures(name: str, a: ScoredRun, b: ScoredRun) -> bool:
    return a.datasets[name].get("fingerprint") == b.datasets[name].get("fingerprint")


def _common(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return [name for name in first if name in second]
