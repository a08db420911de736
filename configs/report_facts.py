"""Where the numbers of a report are from: training, command, machine, config."""

import json
import time
from collections.abc import Sequence
from typing import Any

from configs.opened_network import OpenedNetwork
from configs.record import NAME as CONFIG
from configs.record import changed_fields, stored_fields
from dpeformer_jax.report.content import Run
from dpeformer_jax.retrieval.scored_run import ScoredRun
from dpeformer_jax.retrieval.verdict import Judge
from dpeformer_jax.training.history import read_history


def metrics_of(scored: ScoredRun) -> list[dict[str, float]]:
    """Returns the lines of a training's metrics.jsonl."""
    path = scored.trained_in / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_facts(name: str, scored: ScoredRun, network: OpenedNetwork, judge: Judge) -> Run:
    """Returns what a page says of where a run's numbers are from."""
    weights = network.weights
    history = read_history(scored.trained_in)
    starts = [line for line in history if "began" in line]
    facts = [
        ("network", f"{weights.spec.family} {weights.spec.variant}, {weights.spec.image_size}"),
        ("checkpoint", f"{weights.folder}, step {scored.report.get('step')}"),
        ("weights", scored.report["weights"]),
        ("trained on", str(scored.origin) or "not recorded"),
        ("settings of the scores", json.dumps(scored.report.get("settings", {}))),
        ("thresholds", judge.reason or _levels(judge)),
        ("wall time of the training", _wall_time(history)),
        *(("command", line["command"]) for line in starts[-1:]),
        *(("machine", line["machine"]) for line in starts[-1:]),
        *(("versions", _joined(line["versions"])) for line in starts[-1:]),
    ]
    path = scored.trained_in / CONFIG
    if not path.exists():
        return Run(name, facts, None, "")
    fields = stored_fields(path)
    changed = [tuple(map(_plain, row)) for row in changed_fields(fields)]
    return Run(name, facts, changed, "\n".join(f"{n} = {v!r}" for n, v in fields.items()))


def _levels(judge: Judge) -> str:
    return ", ".join(f"FAR {100 * of.far:g} %: {of.distance:.3f}" for of in judge.levels)


def _joined(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _wall_time(history: Sequence[dict[str, Any]]) -> str:
    seconds = [line["seconds"] for line in history if "seconds" in line]
    starts = sum("began" in line for line in history)
    if not starts:
        return "not recorded"
    told = time.strftime("%H:%M:%S", time.gmtime(sum(seconds) % 86400))
    days = int(sum(seconds) // 86400)
    told = f"{days} d {told}" if days else told
    killed = starts - len(seconds)
    return told + (f", without {killed} starts that were killed" if killed else "")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
