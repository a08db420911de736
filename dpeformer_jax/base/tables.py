"""Reads text files: tables with named columns, and plain lists."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from dpeformer_jax.base.errors import UserError

Row = dict[str, str]


def read_table(
    path: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, Row]]:
    """Yields the line number and the cells of each row of a comma-separated table.

    The first line names the columns, in any case and order, `columns` among them. A column of
    `optional` that is missing has empty cells. Empty rows are passed over. Raises UserError where
    the file is missing, is not text or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            found = [name.strip().lower() for name in reader.fieldnames or ()]
            _check_columns(path, found, columns)
            reader.fieldnames = found
            for row in reader:
                cells = {name: row.get(name, "").strip() for name in (*columns, *optional)}
                if any(cells.values()):
                    yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from error
    except (OSError, csv.Error) as error:
        told = f"{path} cannot be read as a table with the columns {','.join(columns)}: {error}"
        raise UserError(told) from error


def read_list(path: Path) -> list[str]:
    """Returns the lines of a text file without the empty ones; see read_lines."""
    return list(read_lines(path))


def read_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a text file without the empty ones.

    Raises UserError where the file is missing, is not text or is empty.
    """
    empty = True
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in filter(None, map(str.strip, file)):
                empty = False
                yield line
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if empty:
        raise UserError(f"{path} is empty")


def _check_columns(path: Path, found: Sequence[str], columns: Sequence[str]) -> None:
    if missing := [name for name in columns if name not in found]:
        no_comma = len(found) == 1 and set(";\t") & set(found[0])
        comma = "; separate them by commas" if no_comma else ""
        raise UserError(
            f"{path} has no column {', '.join(missing)}: its first line must name "
            f"{','.join(columns)} and reads {','.join(found) or 'nothing'}{comma}"
        )
