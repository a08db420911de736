"""eval.json: the scores of one network under one set of settings, and how they came about."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpeformer_jax.retrieval.metrics import RANKS
from dpeformer_jax.runtime.processes import is_first, write_once

COLUMNS = ("mAP", "mINP", *(f"rank{k}" for k in RANKS))


def table(report: Mapping[str, Any]) -> str:
    """Returns the scores of a report as text, in percent."""
    lines = [f"{'data set':20} {'feature':18}" + "".join(f"{c:>8}" for c in COLUMNS)]
    for name, result in report["datasets"].items():
        for feature, scores in result.items():
            if isinstance(scores, dict):
                cells = "".join(f"{100 * scores[c]:8.1f}" for c in COLUMNS)
                lines.append(f"{name:20} {feature:18}{cells}")
        used, skipped = result["queries_used"], result["queries_skipped"]
        lines.append(f"{name:20} {used} queries used, {skipped} skipped (no match left)")
    return "\n".join(lines)


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Writes a report whole or not at all.

    Scores of the same weights under the same settings on other data sets stay in it. A report of
    other weights or settings is kept beside it, as NAME-HASH.json.
    """
    if not is_first():
        return
    text = path.read_text() if path.exists() else "{}"
    old = json.loads(text)
    if _heading(old) == _heading(report):
        report = {**report, "datasets": old["datasets"] | report["datasets"]}
    elif old:
        name = hashlib.sha256(json.dumps(_heading(old), sort_keys=True).encode()).hexdigest()[:8]
        write_once(path.with_stem(f"{path.stem}-{name}"), text)
    write_once(path, json.dumps(report, indent=2) + "\n")


def _heading(report: Mapping[str, Any]) -> dict[str, Any]:
    """Returns everything but the scores, in the types that JSON gives back."""
    heading = {name: value for name, value in report.items() if name != "datasets"}
    return json.loads(json.dumps(heading))
