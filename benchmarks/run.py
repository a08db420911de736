"""Runs the benchmarks of this machine's platform and writes their results.

python -m benchmarks.run [train_step extract ...] [--quick] [--output DIR]

Without names all of them. Their lines go to benchmarks/results/<device>.json, where those of
benchmarks that are not run stay, and as a table into docs/performance.md; with --output both go to
that folder. --quick takes a tiny network, to see that everything runs: its figures mean nothing.
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
from data.whole import written_whole

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/performance.md"
RESULTS = ROOT / "benchmarks/results"

TINY = "--variant mu --image-size 64 32 --batch-size 8 --repeats 1"
SMALL = "--variant nano8 --image-size 64 32 --batch-size 32"  # the quickstart's
# One process a command: the peak of the memory is that of a process.
COMMANDS = {
    "quick": [
        f"train_step {TINY}",
        f"extract {TINY}",
        f"input {TINY}",
        f"startup {TINY}",
        f"occlusion {TINY}",
        f"dpsm {TINY}",
    ],
    "cpu": [
        f"train_step {SMALL}",
        "train_step --batch-size 8 --repeats 5",
        f"extract {SMALL}",
        "extract --batch-size 1 8 32 --repeats 5",
        f"input {SMALL}",
        "input --batch-size 8 --repeats 3",
        f"startup {SMALL} --repeats 3",
        "startup --batch-size 8 --repeats 3",
        f"occlusion {SMALL}",
        "occlusion --batch-size 8 --repeats 5",
        f"dpsm {SMALL}",
        "dpsm --batch-size 8 --repeats 5",
    ],
    "accelerator": [
        "train_step --batch-size 64",
        "train_step --batch-size 64 --dtype bfloat16",
        "train_step --batch-size 128 --dtype bfloat16",
        "extract --batch-size 1 8 128 512 --dtype float32 bfloat16",
        f"input {SMALL}",
        "input --dtype bfloat16",
        "startup --dtype bfloat16 --repeats 3",
        "occlusion --dtype float32 bfloat16",
        "dpsm --dtype float32 bfloat16",
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
    options = _options()
    results = options.output or RESULTS
    page = results / PAGE.name if options.output else PAGE
    results.mkdir(parents=True, exist_ok=True)
    commands = COMMANDS["quick" if options.quick else platform()]
    commands = [c for c in commands if not options.names or c.split()[0] in options.names]
    failed: list[str] = []
    with TemporaryDirectory() as cache:  # the benchmarks have programs in common
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
    """JAX's; asked in a process of its own, since whoever asks takes the GPU's memory."""
    ask = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    return subprocess.run(ask, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def lines_of(command: str, environment: dict[str, str]) -> list[Line] | None:
    """What a benchmark prints; None, and what it told, where it fails."""
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
    """Writes the lines into the file of their machine, in the place of older ones of the same."""
    machine = lines[0]["machine"]
    on_cpu = machine["platform"] == "cpu"
    count, name = (machine[key] for key in (("cores", "cpu") if on_cpu else ("devices", "device")))
    slug = re.sub(r"[^a-z0-9]+", "-", f"{name} x{count}".lower()).strip("-")
    path = results / f"{slug}.json"
    before = json.loads(path.read_text()) if path.exists() else []
    new = {measured(line): line for line in lines}
    merged = [new.pop(measured(line), line) for line in before] + list(new.values())
    write_text(path, json.dumps(merged, indent=1) + "\n")


def measured(line: Line) -> str:
    """What a line is of."""
    return json.dumps([line["benchmark"], line["config"]], sort_keys=True)


def stored(results: Path) -> list[list[Line]]:
    """The lines of each machine, those of other versions apart."""
    tables: dict[str, list[Line]] = {}
    for path in sorted(results.glob("*.json")):
        for line in json.loads(path.read_text()):
            key = json.dumps([path.name, line["versions"]])
            tables.setdefault(key, []).append(line)
    return list(tables.values())


def write_text(path: Path, text: str) -> None:
    """Whole or not at all."""
    with written_whole(path) as file:
        file.write(text.encode())


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
        parser.error(f"{', '.join(sorted(unknown))}: there is no such benchmark")
    if options.quick and options.output is None:
        parser.error("--quick needs --output: its figures are not for the documentation")
    return options


if __name__ == "__main__":
    main()
