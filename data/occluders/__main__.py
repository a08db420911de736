"""Makes a bank of cut-outs: python -m data.occluders build --sa1b FOLDER --out bank.npz

docs/occluders.md describes the sources.
"""

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from data.occluders import sources
from data.occluders.bank import write_bank
from data.occluders.build import build, contact_sheet
from data.occluders.sa1b import sa1b
from data.occluders.sources import Candidate
from dpeformer_jax.base.command import log_to_stderr, one_paragraph
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.progress import progress

FOLDERS = {
    "sa1b": (sa1b, "SA-1B as published: sa_N.jpg with sa_N.json beside it"),
    "alpha": (sources.with_alpha, "pictures with transparency"),
    "boxes": (sources.boxes, "pictures, and boxes.csv, which lists the boxes to cut from them"),
    "crops": (sources.crops, "SA-1B-crop: <image>/<object>.png or .jpg, black is transparent"),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; ends the process with exit code 2 where it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m data.occluders", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="make a bank from one or more sources")
    for name, (_, told) in FOLDERS.items():
        command.add_argument(f"--{name}", type=Path, metavar="FOLDER", help=told)
    command.add_argument("--drawn", type=positive, metavar="N", help="shapes drawn by code")
    command.add_argument("--out", type=Path, required=True, help="bank file to write, *.npz")
    command.add_argument("--overwrite", action="store_true", help="replace --out")
    size = {"nargs": 2, "metavar": ("HEIGHT", "WIDTH")}
    for name, kind, default, told, more in (
        ("size", positive, (256, 128), "pixels of a cut-out; best is config.data.image_size", size),
        ("min-side", positive, 24, "drop cut-outs whose shorter side has fewer pixels", {}),
        ("most", positive, 10_000, "keep at most this many, chosen at random", {}),
        ("seed", whole, 0, "seed of that choice and of the drawn shapes", {}),
    ):
        told += " (%(default)s)"
        command.add_argument(f"--{name}", type=kind, default=default, help=told, **more)
    chosen = parser.parse_args(arguments)
    if not any(getattr(chosen, name) for name in (*FOLDERS, "drawn")):
        command.error(f"name a source: --{', --'.join(FOLDERS)} or --drawn")
    if chosen.out.suffix != ".npz":
        command.error(f"--out={chosen.out} must end in .npz")
    return chosen


def whole(text: str) -> int:
    """Parses a whole number of 0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is below 0")
    return value


def positive(text: str) -> int:
    """Parses a whole number above 0."""
    if whole(text) == 0:
        raise argparse.ArgumentTypeError("0 is not above 0")
    return int(text)


def candidates(chosen: argparse.Namespace) -> Iterator[Candidate]:
    """Yields the candidates of all sources; raises UserError where a folder is missing."""
    streams = []
    for name, (source, _) in FOLDERS.items():
        folder = getattr(chosen, name)
        if folder and not folder.expanduser().is_dir():
            raise UserError(f"--{name} {folder} is not a folder")
        if folder:
            streams.append(source(folder.expanduser()))
    return chain(*streams, sources.drawn(chosen.drawn or 0, chosen.seed))


def run(chosen: argparse.Namespace) -> None:
    """Writes the bank and its contact sheet, and prints how many candidates it kept."""
    out = chosen.out.expanduser()
    if out.exists() and not chosen.overwrite:
        raise UserError(f"--out {out} exists already; choose another or give --overwrite")
    stream = progress(candidates(chosen), title="cut-outs", unit="cut-out")
    built = build(stream, tuple(chosen.size), chosen.min_side, chosen.most, chosen.seed)
    sheet = out.with_suffix(".jpg")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fingerprint = write_bank(out, built.images, built.tall)
        contact_sheet(built.images).save(sheet, quality=85)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error}") from error
    print(f"{built.summary()}\nwrote {out}, fingerprint {fingerprint}; look at it in {sheet}")


def main() -> None:
    log_to_stderr()
    with one_paragraph("data.occluders"):
        run(parse())


if __name__ == "__main__":
    main()
