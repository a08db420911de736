"""What training tells: metrics.jsonl, TensorBoard events, a progress bar or plain lines."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter
from tqdm import tqdm

from dpeformer_jax.files import write_whole


class Journal:
    """Records of one run, continued after a resume without repeated steps.

    Values between two lines of metrics.jsonl are averaged.
    """

    def __init__(self, workdir: Path, step: int, total_steps: int, log_every: int, batch: int):
        """step: where training goes on; batch: images a step, for the rate."""
        self._log_every, self._batch, self._total = log_every, batch, total_steps
        self._path = workdir / "metrics.jsonl"
        forget_after(self._path, step)
        self._tensorboard = SummaryWriter(str(workdir), purge_step=step)
        self._on_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total_steps,
            initial=step,
            unit="step",
            desc="train",
            disable=not self._on_terminal,
        )
        self._sums: dict[str, float] = {}
        self._steps = 0
        self._since = time.monotonic()

    def add(self, step: int, epoch: int, lr: float, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of one finished step, counted from 1."""
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps += 1
        self._bar.update()
        if step % self._log_every == 0 or step == self._total:
            self._write(step, epoch, lr)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_) -> None:
        """Ends the bar and flushes the events."""
        self._bar.close()
        self._tensorboard.close()

    def _write(self, step: int, epoch: int, lr: float) -> None:
        now = time.monotonic()
        rate = self._steps * self._batch / (now - self._since)
        means = {name: total / self._steps for name, total in self._sums.items()}
        line = {"step": step, "epoch": epoch, **means, "lr": lr, "images_per_second": rate}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in line.items():
            if name != "step":
                self._tensorboard.add_scalar(name, value, step)
        self._tell(step, epoch, line)
        self._sums, self._steps, self._since = {}, 0, now

    def _tell(self, step: int, epoch: int, line: Mapping[str, float]) -> None:
        loss, rate = line["loss"], line["images_per_second"]
        if self._on_terminal:
            self._bar.set_postfix_str(f"epoch {epoch}, loss {loss:.3f}, {rate:.0f} images/s")
            return
        left = (self._total - step) * self._batch / rate
        print(
            f"step {step}/{self._total} epoch {epoch} loss {loss:.3f} "
            f"{rate:.0f} images/s, {left / 60:.1f} min left",
            flush=True,
        )


def forget_after(path: Path, step: int) -> None:
    """Drops the lines of a metrics.jsonl that come after `step`, and a half-written last one."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        if not line.endswith("\n") or json.loads(line)["step"] > step:
            break
        kept.append(line)
    write_whole(path, "".join(kept))
