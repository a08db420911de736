"""Tells how a training goes: metrics.jsonl, TensorBoard events, a progress bar or log lines."""

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpeformer_jax.base.progress import as_rate, on_terminal, progress
from dpeformer_jax.runtime.processes import is_first, write_once
from dpeformer_jax.training.watching import Watched

if TYPE_CHECKING:
    from dpeformer_jax.training.events import Events

SCORES = "scores/"  # how the names of scores begin
LOG = logging.getLogger(__name__)


class Journal:
    """Records of one run, continued after a resume as if there had been no interruption.

    A line of metrics.jsonl averages the values since the line before; skipped steps only add to a
    count. The file holds nothing that depends on time, so that the same training writes the same
    file; images per second go elsewhere. Only the first of several processes writes.
    """

    def __init__(
        self,
        workdir: Path,
        step: int,
        total_steps: int,
        log_every: int,
        batch: int,
        sums: Mapping[str, Any] | None = None,
    ):
        """Goes on at `step`, where `sums` was as given; batch: images a step."""
        self._log_every, self._batch, self._total = log_every, batch, total_steps
        self._workdir, self._first = workdir, step
        self._path = workdir / "metrics.jsonl"
        forget_after(self._path, step)
        self._events: Events | None = None
        self._terminal = on_terminal() and is_first()
        title = "train" if self._terminal else ""  # elsewhere `_tell` logs lines of its own
        self._bar = progress(title=title, unit="step", total=total_steps, start=step)
        sums = sums or {}
        self._sums: dict[str, float] = dict(sums.get("values", {}))
        self._taken: int = sums.get("taken", 0)  # steps in the sums
        self._restart_clock()

    @property
    def sums(self) -> dict[str, Any]:
        """What came since the last line, for a checkpoint (JSON)."""
        return {"values": dict(self._sums), "taken": self._taken}

    def add(self, step: int, epoch: int, lr: float, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of one finished step, counted from 1."""
        skipped = metrics.get("skipped")
        for name, value in metrics.items() if not skipped else [("skipped", skipped)]:
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._taken += not skipped
        self._timed += 1
        self._bar.update()
        if step % self._log_every == 0 or step == self._total:
            if is_first():
                self._write(step, epoch, lr)
            self._sums, self._taken = {}, 0
            self._restart_clock()
        elif step == self._first + 1:
            self._restart_clock()  # the first step waited for its compilation

    def watched(self, step: int, epoch: int, seen: Watched) -> None:
        """Writes the scores and pictures of the network after a step."""
        if is_first():
            self._append({"step": step, "epoch": epoch, **seen.scores})
            self._writer.add(step, seen.scores)
            self._writer.add_pictures(step, seen.pictures)
        self._restart_clock()

    def has_watched(self, step: int) -> bool:
        """Tells whether the network after `step` was looked at before."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        told = [json.loads(line) for line in lines]
        return any(line["step"] == step and _of_watching(line) for line in told)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_) -> None:
        """Ends the bar and the events."""
        self._bar.close()
        if self._events is not None:
            self._events.close()

    def _write(self, step: int, epoch: int, lr: float) -> None:
        rate = self._timed * self._batch / (time.monotonic() - self._since)
        means = {
            name: total if name == "skipped" else total / self._taken
            for name, total in self._sums.items()
        }
        self._append({"step": step, "epoch": epoch, **means, "lr": lr})
        self._tell(step, epoch, means, rate)
        told = {"epoch": epoch, **means, "lr": lr, "images_per_second": rate}
        self._writer.add(step, told)

    def _append(self, line: Mapping[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())  # no checkpoint is on disk before the lines that precede it

    @property
    def _writer(self) -> "Events":
        if self._events is None:
            # Imported while a step computes, since it takes a second.
            from dpeformer_jax.training.events import Events

            self._events = Events(self._workdir, self._first)
        return self._events

    def _restart_clock(self) -> None:
        self._timed, self._since = 0, time.monotonic()  # steps of this process since then

    def _tell(self, step: int, epoch: int, means: Mapping[str, float], rate: float) -> None:
        told = f"loss {means['loss']:.3f}" if "loss" in means else "no loss"
        if means.get("skipped"):
            told += f", {means['skipped']:.0f} steps skipped"
        if self._terminal:
            self._bar.set_postfix_str(f"epoch {epoch}, {told}, {as_rate(rate)} images/s")
        else:
            place, left = f"{step}/{self._total}", (self._total - step) * self._batch / rate / 60
            speed = f"{as_rate(rate)} images/s, {left:.1f} min left"
            LOG.info(f"step {place} epoch {epoch} {told} {speed}")


def _of_watching(line: Mapping[str, Any]) -> bool:
    return any(name.startswith(SCORES) for name in line)


def forget_after(path: Path, step: int) -> None:
    """Removes the lines of a metrics.jsonl after `step`, and a half-written last line."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        if not line.endswith("\n") or json.loads(line)["step"] > step:
            break
        kept.append(line)
    write_once(path, "".join(kept))
