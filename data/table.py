"""Writes a table of the pictures in a folder, to look at and to edit: python -m data.table FOLDER

The table has the splits, identities and cameras that config.data.builder=reid_folder would use.
Train on it by config.data.builder=reid_csv. docs/datasets.md describes folders and tables.
"""

import argparse
import csv
import os
import shlex
import sys
from pathlib import Path

try:
    from data.builders.reid_csv import NEEDED, OPTIONAL
    from data.builders.reid_folder import ReidFolder
    from data.counts import count
except ModuleNotFoundError as error:
    print(f"data.table: {error}; it needs more: pip install -e '.[train]'", file=sys.stderr)
    sys.exit(2)

from data.dataset_spec import DatasetSpec, DataSettings
from data.labels import shown
from data.listing import Entry, Listing
from data.own_pictures import Arranged
from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.base.command import log_to_stderr, one_paragraph
from dpeformer_jax.base.errors import UserError


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; ends the process with exit code 2 where it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m data.table", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of pictures")
    parser.add_argument("--table", type=Path, help="file to write (FOLDER/NAME OF FOLDER.csv)")
    parser.add_argument("--overwrite", action="store_true", help="replace --table")
    defaults = DataSettings()
    for name, kind in (("pattern", str), ("split_seed", int), ("test_share", float)):
        told = {"help": f"as config.data.{name} (%(default)s)", "default": getattr(defaults, name)}
        parser.add_argument(f"--{name}", type=kind, **told)
    chosen = parser.parse_args(arguments)
    if not 0 < chosen.test_share < 1:
        parser.error(f"--test_share={chosen.test_share} must lie between 0 and 1")
    return chosen


def run(chosen: argparse.Namespace) -> None:
    """Writes the table and prints what it holds and how to train on it."""
    folder = os.path.abspath(chosen.folder.expanduser())
    fields = {name: getattr(chosen, name) for name in ("pattern", "split_seed", "test_share")}
    if not os.path.lexists(folder):
        raise UserError(f"{folder} does not exist; give the folder of your pictures")
    spec = DatasetSpec(ReidFolder.name, root=folder, **fields)
    # Under the folder's own title a network recognises its cameras.
    table = chosen.table or spec.folder / f"{ReidFolder.title(spec)}.csv"
    table = table.expanduser().absolute()
    if table.exists() and not chosen.overwrite:
        raise UserError(f"{table} exists already; choose another --table or give --overwrite")
    arranged = ReidFolder.arranged(spec)
    try:
        write(table, spec.folder, arranged)
    except OSError as error:
        told = f"{table} cannot be written ({error.strerror}); choose another by --table=PATH"
        raise UserError(told) from error
    print(summary(arranged.splits, arranged.rule), file=sys.stdout)
    print(
        f"wrote {table}; train on it:\npython main.py --config=configs/folder.py "
        f"--config.data.builder=reid_csv --config.data.root={shlex.quote(str(table))} "
        "--workdir=runs/mine",
        file=sys.stdout,
    )


def write(table: Path, folder: Path, arranged: Arranged) -> None:
    """Writes the rows, whose paths are relative to the table's folder.

    Raises OSError, or UserError where the table would not be read as it is written.
    """
    texts, of_cameras = arranged.names
    # Behind a symbolic link ".." leads elsewhere than the path says.
    folder, start = folder.resolve(), table.parent.resolve()
    with atomic_write(table) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([*NEEDED, *OPTIONAL])
        for split, entries in arranged.splits.items():
            for entry in entries:
                path = os.path.relpath(folder / entry.name, start)
                (person,) = shown([entry.identity], texts)
                (camera,) = shown([entry.camera], of_cameras) if arranged.cameras else ("",)
                _refuse_blanks(entry, path, str(person), str(camera))
                rows.writerow([path, person, camera, split])


def _refuse_blanks(entry: Entry, *cells: str) -> None:
    for cell in cells:
        if cell != cell.strip():
            raise UserError(
                f"{str(entry.path)!r}: a table does not keep the blank at an end of {cell!r}; "
                "rename the file or its folder"
            )


def summary(splits: Listing, rule: str) -> str:
    """Returns the counts of each split, and how the pictures were divided."""
    counts = ((split, count(entries)) for split, entries in splits.items())
    lines = [f"{split}: {of.identities} identities, {of.images} images" for split, of in counts]
    return "\n".join([*lines, rule] if rule else lines)


def main() -> None:
    log_to_stderr()
    with one_paragraph("data.table"):
        run(parse())


if __name__ == "__main__":
    main()
