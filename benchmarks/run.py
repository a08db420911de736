"""Runs the benchmarks of this machine's platform and writes their results.

python -m benchmarks.run [train_step extract ...] [--quick] [--output DIR]

Without names it runs all of them. Their lines go to benchmarks/results/<device>.json, where the
lines of other benchmarks stay, and as a table into docs/performance.md. With --output both go to
that folder. --quick takes a tiny network to see that everything runs; its figures mean nothing.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.table import page_with
from dpeformer_jax.base.atomic_write import write_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/performance.md"
RESULTS = ROOT / "benchmarks/results"

TINY_SCORE = "--queries 60 --gallery 300 --width 64 --identities 10 --repeats 1"
TINY = "--variant mu --image-size 64 32 --batch-size 8 --repeats 1"
SMALL = "--variant nano8 --image-size 64 32 --batch-size 32"  # the quickstart's
SCORE = [
    "score --rerank",  # Market-1501's size, then MSMT17's
    "score --queries 11659 --gallery 82161 --identities 3060 --repeats 1 --no-peer",
    "score --distractors 500000 --repeats 1 --no-peer",
]
# Each command is a process of its own, since the memory's peak is that of a process.
COMMANDS = {
    "quick": [
        f"train_step {TINY}",
        f"extract {TINY}",
        f"bulk {TINY}",
        f"input {TINY}",
        f"startup {TINY}",
        f"views {TINY}",
        f"dpsm {TINY}",
        f"score {TINY_SCORE} --rerank",
    ],
    "cpu": [
        f"train_step {SMALL}",
        "train_step --batch-size 8 --repeats 5",
        f"extract {SMALL}",
        "extract --batch-size 1 8 32 --repeats 5",
        "bulk --batch-size 32 --repeats 3",
        f"input {SMALL}",
        "input --batch-size 8 --repeats 3",
        f"startup {SMALL} --repeats 3",
        "startup --batch-size 8 --repeats 3",
        f"views {SMALL}",
        "views --batch-size 8 --repeats 5",
        f"dpsm {SMALL}",
        "dpsm --batch-size 8 --repeats 5",
        *SCORE,
    ],
    "accelerator": [
        "train_step --batch-size 64",
        "train_step --batch-size 64 --dtype bfloat16",
        "train_step --batch-size 128 --dtype bfloat16",
        "extract --batch-size 1 8 128 512 --dtype float32 bfloat16",
        "bulk --batch-size 128 --dtype float32 bfloat16",
        f"input {SMALL}",
        "input --dtype bfloat16",
        "startup --dtype bfloat16 --repeats 3",
        "views --dtype float32 bfloat16",
        "dpsm --dtype float32 bfloat16",
        *SCORE,
    ],
}
COMMANDS["tpu"] = COMMANDS["accelerator"]
COMMANDS["gpu"] = COMMANDS["accelerator"] + [
    "train_step --batch-size 64 --dtype bfloat16 --attention cudnn",
    "train_step --batch-size 128 --dtype bfloat16 --attention cudnn",
    "extract --batch-size 1 8 128 512 --dtype bfloat16 --attention cudnn",
    "dpsm --dtype bfloat16 --attention cudnn",
]

Line = dict[str, Any]


def main() -> None:
    """Runs the benchmarks; fails at the end if one of them failed."""
    options = _options()
    results = options.output or RESULTS
    page = results / PAGE.name if options.output else PAGE
    results.mkdir(parents=True, exist_ok=True)
    commands = COMMANDS["quick" if options.quick else platform()]
    commands = [c for c in commands if not options.names or c.split()[0] in options.names]
    failed: list[str] = []
    with TemporaryDirectory() as cache:  # the benchmarks share programs
        environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": str(int(options.quick)),  # to compile faster
        }
        for count, command in enumerate(commands, 1):
            print(f"[{count}/{len(commands)}] {command}", file=sys.stderr, flush=True)
            lines = lines_of(command, environment)
            if lines is None:
                failed.append(command)
                continue
            keep(results, lines)
            source = page if page.exists() else PAGE
            write_text(page, page_with(source.read_text(), stored(results)))
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")


def platform() -> str:
    """Asks JAX for its platform, in a process of its own since JAX takes the GPU's memory."""
    ask = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    return subprocess.run(ask, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def lines_of(command: str, environment: dict[str, str]) -> list[Line] | None:
    """Runs a benchmark and returns its lines; where it fails, prints its error and returns None."""
    name, *arguments = command.split()
    ended = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        print(ended.stderr, file=sys.stderr, flush=True)
        return None
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    for line in lines:
        print(f"    {line['benchmark']}: {line['value']:.4g} {line['unit']}", file=sys.stderr)
    return lines


def keep(results: Path, lines: Sequence[Line]) -> None:
    """Writes the lines into the file of their machine; each replaces its predecessor there."""
    machine = lines[0]["machine"]
    on_cpu = machine["platform"] == "cpu"
    count, name = (machine[key] for key in (("cores", "cpu") if on_cpu else ("devices", "device")))
    slug = re.sub(r"[^a-z0-9]+", "-", f"{name} x{count}".lower()).strip("-")
    path = results / f"{slug}.json"
    before = json.loads(path.read_text()) if path.exists() else []
    new = {key_of(line): line for line in lines}
    merged = [new.pop(key_of(line), line) for line in before] + list(new.values())
    write_text(path, json.dumps(merged, indent=1) + "\n")


def key_of(line: Line) -> str:
    """Returns what lines of the same figure and setting have in common."""
    return json.dumps([line["benchmark"], line["config"]], sort_keys=True)


def stored(results: Path) -> list[list[Line]]:
    """Returns the lines of each machine, one list for each set of package versions."""
    tables: dict[str, list[Line]] = {}
    for path in sorted(results.glob("*.json")):
        for line in json.loads(path.read_text()):
            key = json.dumps([path.name, line["versions"]])
            tables.setdefault(key, []).append(line)
    return list(tables.values())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted({command.split()[0] for command in COMMANDS["quick"]})
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, metavar="DIR")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(
            f"{', '.join(sorted(unknown))}: no such benchmark; there are {', '.join(names)}"
        )
    if options.quick and options.output is None:
        parser.error("--quick needs --output=DIR, since its figures are not for the documentation")
    return options


if __name__ == "__main__":
    main()
