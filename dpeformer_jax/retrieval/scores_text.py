"""A report's scores as text, in percent."""

from collections.abc import Iterator, Mapping
from typing import Any

from dpeformer_jax.retrieval.metrics import RANKS

COLUMNS = ("mAP", "mINP", *(f"rank{k}" for k in RANKS), "tar@1e-3")


def table(report: Mapping[str, Any]) -> str:
    """Returns the scores of a report, the content of eval.json, as a table."""
    lines = [f"{'data set':20} {'feature':18}" + "".join(f"{c:>9}" for c in COLUMNS)]
    for name, result in report["datasets"].items():
        features = {f: scores for f, scores in result.items() if isinstance(scores, dict)}
        for feature, scores in features.items():
            cells = "".join(_percent(scores.get(column)) for column in COLUMNS)
            lines.append(f"{name:20} {feature:18}{cells}")
        for feature, scores in features.items():
            lines += [f"{name:20} {line}" for line in _at_thresholds(feature, scores)]
        used, skipped = result["queries_used"], result["queries_skipped"]
        lines.append(f"{name:20} {used} queries used, {skipped} skipped (no match left)")
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    """Returns a cell of the table; re-ranked distances have no rates, nor has an old report."""
    return f"{'-':>9}" if share is None else f"{100 * share:9.1f}"


def _at_thresholds(feature: str, scores: Mapping[str, Any]) -> Iterator[str]:
    """Yields what the pairs show at the stored thresholds, beside what was promised."""
    for found in scores.get("at_thresholds", ()):
        promised = ""
        if found["far_promised"]:
            low, high = (f"{100 * end:.2g}" for end in found["far_promised"])
            promised = f" (promised: {low} to {high})"
        yield (
            f"{feature:18} up to {found['distance']:.3f}, for FAR {100 * found['chosen_far']:g} %: "
            f"FAR {100 * found['far']:.2g} %{promised}, TAR {100 * found['tar']:.1f} %"
        )
