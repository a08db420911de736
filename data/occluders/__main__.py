"""Makes a bank of cut-outs: python -m data.occluders build --sa1b FOLDER --out bank.npz

docs/occluders.md tells what each source expects.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from data.errors import DataError
from data.occluders import sources
from data.occluders.bank import write_bank
from data.occluders.build import build
from data.occluders.sa1b import sa1b
from data.occluders.sheet import contact_sheet
from data.occluders.sources import Candidate

FOLDERS = {
    "sa1b": (sa1b, "SA-1B as published: sa_N.jpg with sa_N.json beside it"),
    "alpha": (sources.with_alpha, "pictures with transparency"),
    "boxes": (sources.boxes, "pictures to cut boxes from, which boxes.csv in it lists"),
    "crops": (sources.crops, "SA-1B-crop: <image>/<object>.png or .jpg, black is transparent"),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; ends with exit code 2 where it is no sensible one."""
    parser = argparse.ArgumentParser(prog="python -m data.occluders", description=__doc__)
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "build", help="make a bank of one or more sources"
    )
    for name, (_, told) in FOLDERS.items():
        command.add_argument(f"--{name}", type=Path, metavar="FOLDER", help=told)
    command.add_argument("--drawn", type=positive, metavar="N", help="shapes drawn by code")
    command.add_argument("--out", type=Path, required=True, help="bank file to write, *.npz")
    command.add_argument("--overwrite", action="store_true", help="replace --out")
    command.add_argument(
        "--size",
        type=positive,
        nargs=2,
        default=(256, 128),
        metavar=("HEIGHT", "WIDTH"),
        help="pixels that every cut-out is stretched to; best config.data.image_size (%(default)s)",
    )
    command.add_argument(
        "--min-side",
        type=positive,
        default=24,
        metavar="PIXELS",
        help="drop cut-outs with a shorter side below (%(default)s)",
    )
    command.add_argument(
        "--most",
        type=positive,
        default=10_000,
        metavar="N",
        help="keep that many, chosen at random (%(default)s)",
    )
    command.add_argument("--seed", type=whole, default=0, help="of that choice and of drawn shapes")
    chosen = parser.parse_args(arguments)
    if not any(getattr(chosen, name) for name in (*FOLDERS, "drawn")):
        command.error(f"name a source: --{', --'.join(FOLDERS)} or --drawn")
    if chosen.out.suffix != ".npz":
        command.error(f"--out={chosen.out} must end in .npz")
    return chosen


def whole(text: str) -> int:
    """A number of 0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is below 0")
    return value


def positive(text: str) -> int:
    """A whole number above 0."""
    if whole(text) == 0:
        raise argparse.ArgumentTypeError("0 is not above 0")
    return int(text)


def candidates(chosen: argparse.Namespace) -> Iterator[Candidate]:
    """Of all sources that are asked for.

    Raises:
        DataError: a folder is missing.
    """
    streams = []
    for name, (source, _) in FOLDERS.items():
        folder = getattr(chosen, name)
        if folder and not folder.expanduser().is_dir():
            raise DataError(f"--{name} {folder} is not a folder")
        if folder:
            streams.append(source(folder.expanduser()))
    return chain(*streams, sources.drawn(chosen.drawn or 0, chosen.seed))


def run(chosen: argparse.Namespace) -> None:
    """Writes the bank and its contact sheet, and tells what became of the candidates."""
    out = chosen.out.expanduser()
    if out.exists() and not chosen.overwrite:
        raise DataError(f"--out {out} is there already; choose another or give --overwrite")
    stream = tqdm(candidates(chosen), unit=" cut-outs", disable=None)
    built = build(stream, tuple(chosen.size), chosen.min_side, chosen.most, chosen.seed)
    sheet = out.with_suffix(".jpg")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        fingerprint = write_bank(out, built.images, built.tall)
        contact_sheet(built.images).save(sheet, quality=85)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error}") from error
    print(f"{built.summary()}\nwrote {out}, fingerprint {fingerprint}; look at it in {sheet}")


def main() -> None:
    try:
        run(parse())
    except DataError as error:
        print(f"data.occluders: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
