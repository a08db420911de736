"""eval.json: the scores of one network under one set of settings, and how they came about."""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from dpeformer_jax.base.atomic_write import write_text
from dpeformer_jax.retrieval.per_query import beside, read_rows, write_rows
from dpeformer_jax.runtime.processes import is_first


class Evaluation(NamedTuple):
    """report: the content of eval.json; rows: of each query, see per_query.py."""

    report: dict[str, Any]
    rows: pa.Table


def write_report(path: Path, evaluation: Evaluation) -> None:
    """Writes a report and the rows beside it, each whole or not at all.

    Scores of the same weights under the same settings on other data sets join it. A report of other
    weights or settings is kept beside it, as NAME-HASH.json, until such scores are written again.
    """
    if not is_first():
        return
    report, rows = evaluation
    aside = _aside(path, report)
    if path.exists() and (other := _aside(path, stored_report(path))) != aside:
        with contextlib.suppress(FileNotFoundError):  # an earlier version wrote no rows
            os.replace(beside(path), beside(other))
        os.replace(path, other)
    for kept in (path, aside):
        stored = stored_report(kept)
        known = stored.get("datasets", {})
        others = {name: known[name] for name in known if name not in report["datasets"]}
        rows = pa.concat_tables([rows, read_rows(kept, {**stored, "datasets": others})])
        report = {**report, "datasets": known | report["datasets"]}
    write_rows(path, report, rows)
    write_text(path, json.dumps(report, indent=2) + "\n")
    for merged in (aside, beside(aside)):
        merged.unlink(missing_ok=True)


def _aside(path: Path, report: Mapping[str, Any]) -> Path:
    """Returns where a report is kept beside one of other weights or settings."""
    heading = {name: value for name, value in report.items() if name != "datasets"}
    text = json.dumps(heading, sort_keys=True)
    return path.with_stem(f"{path.stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}")


def stored_report(path: Path) -> dict[str, Any]:
    """Returns the report in a file; nothing where there is none, or a damaged one."""
    with contextlib.suppress(OSError, ValueError):
        stored = json.loads(path.read_text())
        return stored if isinstance(stored, dict) else {}
    return {}
