"""eval.json: the scores of one network under one set of settings, and how they came about."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpeformer_jax.base.atomic_write import write_text
from dpeformer_jax.retrieval.metrics import RANKS
from dpeformer_jax.runtime.processes import is_first

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

    Scores of the same weights under the same settings on other data sets join it. A report of other
    weights or settings is kept beside it, as NAME-HASH.json, until such scores are written again.
    """
    if not is_first():
        return

    def aside(of: Mapping[str, Any]) -> Path:
        heading = {name: value for name, value in of.items() if name != "datasets"}
        text = json.dumps(heading, sort_keys=True)
        return path.with_stem(f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}")

    if path.exists() and aside(_stored(path)) != aside(report):
        os.replace(path, aside(_stored(path)))
    for kept in (path, aside(report)):
        known = _stored(kept).get("datasets", {})
        report = {**report, "datasets": known | report["datasets"]}
    write_text(path, json.dumps(report, indent=2) + "\n")
    aside(report).unlink(missing_ok=True)


def _stored(path: Path) -> dict[str, Any]:
    """Returns the report in a file; nothing where there is none, or a damaged one."""
    with contextlib.suppress(OSError, ValueError):
        stored = json.loads(path.read_text())
        return stored if isinstance(stored, dict) else {}
    return {}
