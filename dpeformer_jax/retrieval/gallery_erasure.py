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

from dpeformer_jax.retrieval.gallery_engine import pa

MARK = "unfinished_removal"
LEFT_BEHIND = ".tmp*"  # what a killed process was writing; LanceDB never removes it


def mark(database: Any, table: Any) -> None:
    """Says that a removal begins, with the version of the table before it."""
    if marked(database):
        unmark(database)
    database.create_table(MARK, pa.table({"version": [table.version]}))


def marked(database: Any) -> bool:
    """Tells whether a removal began and did not end."""
    return MARK in database.list_tables().tables


def nothing_removed(database: Any, table: Any) -> bool:
    """Tells whether the removal that was interrupted had not removed a row yet."""
    return database.open_table(MARK).to_arrow()["version"][0].as_py() == table.version


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
    if folder is not None:
        for path in folder.rglob(LEFT_BEHIND):
            path.unlink(missing_ok=True)


def unmark(database: Any) -> None:
    """Says that the removal is complete."""
    database.drop_table(MARK)
