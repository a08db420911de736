"""Runs the benchmarks of this machine's platform and writes their results.

python -m benchmarks.run [train_step extract ...] [--quick] [--output DIR]
python -m benchmarks.run --command COMMAND [--quick] [--output DIR]
python -m benchmarks.run --take DIR

Without names it runs all of them but `compiled`, which needs the extras aot-tpu and aot-cuda. Their
lines go to benchmarks/results/<device>.json, where the lines of other benchmarks stay, and as
tables into docs/performance.md. With --output both go to that folder. --quick takes a tiny network
to see that everything runs; its figures mean nothing. --command runs one benchmark in a setting of
your own, as 'train_step --batch-size 32', for which --quick only makes the compiler hurry. --take
runs none: it adds the lines that --output wrote, as on a machine from which only a folder comes
back.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.plan_table import page_with_plans
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
        f"recipe {TINY}",
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
    "recipe --dtype bfloat16 --attention cudnn --repeats 1",
    "extract --batch-size 1 8 128 512 --dtype bfloat16 --attention cudnn",
    "dpsm --dtype bfloat16 --attention cudnn",
]
V5E, H100 = "compiled --target 'tpu v5e:2x2'", "compiled --target 'h100 1'"
ONE_STEP = "--program step --parallel jit"
COMPILED = [
    V5E,
    f"{V5E} {ONE_STEP} --effort -1",
    f"{V5E} {ONE_STEP} --attention xla --effort -1",
    f"{V5E} {ONE_STEP} --dtype float32 --effort -1",
    f"compiled --target 'tpu v5e:1x1' 'tpu v6e:2x2' 'tpu v5p:2x2x1' {ONE_STEP} --effort -1",
    f"{H100} --attention xla",
    f"{H100} --attention cudnn",
    f"{H100} {ONE_STEP} --attention cudnn --image-size 336 160",  # 211 tokens, as with stride 12
    f"{H100} {ONE_STEP} --dtype float32",
    "compiled --target 'h100 4' --program step --attention cudnn",
]
PLANS = "compiled.json"  # beside the files of the machines

Line = dict[str, Any]


def main() -> None:
    """Runs the benchmarks; fails at the end if one of them failed."""
    options = _options()
    results = options.output or RESULTS
    page = results / PAGE.name if options.output else PAGE
    results.mkdir(parents=True, exist_ok=True)
    if options.take:
        take(options.take, results, page)
        return
    commands = [options.command] if options.command else commands_of(options.names, options.quick)
    failed: list[str] = []
    with TemporaryDirectory() as cache:  # the benchmarks share programs
        environment = {"JAX_COMPILATION_CACHE_DIR": cache} | os.environ
        environment |= {
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
            write_tables(results, page)
    if failed:
        sys.exit(f"failed: {'; '.join(failed)}")


def take(source: Path, results: Path, page: Path) -> None:
    """Adds the lines of another folder of results; none are there if no benchmark ended."""
    for path in sorted(source.glob("*.json")):
        keep(results, json.loads(path.read_text()))
        write_tables(results, page)


def write_tables(results: Path, page: Path) -> None:
    """Writes the tables of all results into the page, which begins as a copy of PAGE."""
    source = page if page.exists() else PAGE
    text = page_with(source.read_text(), stored(results))
    write_text(page, page_with_plans(text, stored_plans(results)))


def commands_of(names: Sequence[str], quick: bool) -> list[str]:
    """Returns the commands of the named benchmarks, or of all that suit the machine."""
    suiting = COMMANDS["quick" if quick else platform()]
    chosen = [command for command in suiting if not names or command.split()[0] in names]
    return chosen + (COMPILED if "compiled" in names else [])


def platform() -> str:
    """Asks JAX for its platform, in a process of its own since JAX takes the GPU's memory."""
    ask = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    return subprocess.run(ask, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def lines_of(command: str, environment: dict[str, str]) -> list[Line] | None:
    """Runs a benchmark, prints its warnings and errors and returns its lines, None if it fails."""
    name, *arguments = shlex.split(command)
    ended = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    print(ended.stderr, end="", file=sys.stderr, flush=True)
    if ended.returncode:
        return None
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    for line in lines:
        told = f"{line['value']:.4g} {line['unit']}" if "value" in line else line["program"]
        print(f"    {line['benchmark']}: {told}", file=sys.stderr)
    return lines


def keep(results: Path, lines: Sequence[Line]) -> None:
    """Writes the lines into the file of their machine; each replaces its predecessor there."""
    path = results / _file_of(lines[0])
    before = json.loads(path.read_text()) if path.exists() else []
    new = {key_of(line): line for line in lines}
    merged = [new.pop(key_of(line), line) for line in before] + list(new.values())
    write_text(path, json.dumps(merged, indent=1) + "\n")


def _file_of(line: Line) -> str:
    if line["benchmark"] == "compiled":
        return PLANS
    machine = line["machine"]
    on_cpu = machine["platform"] == "cpu"
    count, name = (machine[key] for key in (("cores", "cpu") if on_cpu else ("devices", "device")))
    slug = re.sub(r"[^a-z0-9]+", "-", f"{name} x{count}".lower()).strip("-")
    return f"{slug}.json"


def key_of(line: Line) -> str:
    """Returns what lines of the same figure and setting have in common."""
    keys = "benchmark", "target", "program", "config"
    return json.dumps([line.get(key) for key in keys], sort_keys=True)


def stored(results: Path) -> list[list[Line]]:
    """Returns the lines of each machine, one list for each set of package versions."""
    tables: dict[str, list[Line]] = {}
    for path in sorted(set(results.glob("*.json")) - {results / PLANS}):
        for line in json.loads(path.read_text()):
            key = json.dumps([path.name, line["versions"]])
            tables.setdefault(key, []).append(line)
    return list(tables.values())


def stored_plans(results: Path) -> list[Line]:
    """Returns the lines of what was compiled for devices that are not here."""
    path = results / PLANS
    return json.loads(path.read_text()) if path.exists() else []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted({command.split()[0] for command in COMMANDS["quick"]} | {"compiled"})
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, metavar="DIR")
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument("--command", help="this one alone, with its options")
    alone.add_argument("--take", type=Path, metavar="DIR", help="what --output wrote there")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(
            f"{', '.join(sorted(unknown))}: no such benchmark; there are {', '.join(names)}"
        )
    if options.names and (options.command or options.take):
        parser.error("--command and --take stand alone; leave the names out")
    if options.quick and options.output is None:
        parser.error("--quick needs --output=DIR, since its figures are not for the documentation")
    return options


if __name__ == "__main__":
    main()
