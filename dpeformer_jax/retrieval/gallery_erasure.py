"""Removes rows of a gallery for good: afterwards no file holds their bytes.

LanceDB marks rows as deleted and leaves their bytes in files that it has no other reason to write
again. So every row that stays is written anew, and then all files of earlier versions are removed.
A tiny table, which names nobody, stands beside the gallery from before the first step to after the
last, so that an interrupted removal is noticed.
"""

import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

from dpeformer_jax.retrieval import gallery_index
from dpeformer_jax.retrieval.gallery_engine import pa
from dpeformer_jax.retrieval.gallery_table import only_row

MARK = "unfinished_removal"
OF_MARK = pa.schema([("rows", pa.int64()), ("index", pa.string())])
LEFT_BEHIND = ".tmp*"  # what a killed process was writing; LanceDB never removes it


def mark(database: Any, table: Any) -> None:
    """Says that a removal begins, with the number of rows and the kind of index before it.

    It takes the place of the mark of an earlier removal in one commit, as that one is not complete.
    """
    row = {"rows": table.count_rows(), "index": index_before(database)}
    mode = "overwrite" if marked(database) else "create"
    database.create_table(MARK, pa.Table.from_pylist([row], schema=OF_MARK), mode=mode)


def marked(database: Any) -> bool:
    """Tells whether a removal began and did not end."""
    return MARK in database.list_tables().tables


def removed(database: Any, table: Any) -> bool:
    """Tells whether the removal that was interrupted is known to have removed its rows."""
    row = only_row(database, MARK)
    return row is not None and table.count_rows() < row["rows"]


def index_before(database: Any) -> str | None:
    """Returns the kind of index that there is, or was when the removal began."""
    index = gallery_index.current(database)
    if index is not None:
        return index.kind
    return (only_row(database, MARK) or {}).get("index")


def purge(table: Any, folder: Path | None) -> None:
    """Writes all rows anew and removes every file of earlier versions.

    folder: of a local table.
    """
    table.update(values_sql={"camera": "camera"})
    with warnings.catch_warnings():
        # It warns of readers of earlier versions: they must end, for these hold the removed rows.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(2):  # the first leaves the files of an index
            table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
    remove_leftovers(folder)


def remove_leftovers(folder: Path | None) -> None:
    """Removes what killed processes were writing; the caller holds the lock.

    folder: of a local table; an object store has no such files.
    """
    if folder is not None:
        for path in folder.rglob(LEFT_BEHIND):
            path.unlink(missing_ok=True)


def unmark(database: Any) -> None:
    """Says that the removal is complete."""
    database.drop_table(MARK)
