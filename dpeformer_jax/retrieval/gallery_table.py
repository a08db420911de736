"""The table that a gallery is, in LanceDB, and what it says of itself."""

import contextlib
import dataclasses
import errno
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.places import is_url
from dpeformer_jax.retrieval.gallery_engine import lancedb, pa

PEOPLE = "people"  # the table
ABOUT = b"dpeformer_jax"  # the key of About in its schema's metadata
VERSION = 1
# Compressed, a path could not be found in the files, so nobody could show that it is gone.
PLAIN = {b"lance-encoding:compression": b"none"}
# What the engine, which tells no error number, says of a full disk, quota or file.
NO_ROOM = ("No space left", "Disk quota exceeded", "File too large")


@dataclasses.dataclass(frozen=True)
class About:
    """What a gallery is of.

    network: fingerprint of the weights; feature: its name; width: of it, F.
    """

    network: str
    feature: str
    width: int

    def schema(self) -> pa.Schema:
        """Returns the columns, with all this in their metadata."""
        about = json.dumps({"version": VERSION, **dataclasses.asdict(self)})
        fields = [
            pa.field("path", pa.string(), nullable=False, metadata=PLAIN),
            pa.field("identity", pa.string(), metadata=PLAIN),
            pa.field("camera", pa.string(), metadata=PLAIN),
            pa.field("time", pa.float64()),
            pa.field("vector", pa.list_(pa.float32(), self.width), nullable=False),
        ]
        return pa.schema(fields, metadata={ABOUT: about.encode()})

    @classmethod
    def of(cls, schema: pa.Schema, where: str) -> "About":
        """Reads it from the columns; raises UserError where a newer version wrote them."""
        try:
            told = json.loads((schema.metadata or {})[ABOUT])
            version = told.pop("version")
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{where} is no gallery of this program; choose another name"
            ) from error
        if version > VERSION:
            raise UserError(
                f"{where} has version {version}, and this program knows {VERSION}; update "
                "dpeformer_jax, or enrol into another index"
            )
        return cls(**told)


def exists(where: str) -> bool:
    """Tells whether there is a gallery.

    Raises:
        UserError: a folder holds something else, or the store cannot be read.
    """
    if is_url(where):
        with explained(where):
            return PEOPLE in connect(where).list_tables().tables
    folder = Path(where)
    if (folder / f"{PEOPLE}.lance").is_dir():
        return True
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{where} is no index; choose a new name for the one to be made")
    return False


def connect(where: str) -> Any:
    """Returns LanceDB's connection, whose tables show what other processes write at once."""
    return lancedb.connect(where, read_consistency_interval=timedelta(0))


def only_row(database: Any, name: str) -> dict[str, Any] | None:
    """Returns the row of a table that holds one, beside the people.

    None where there is no such table, or a part of one, as a process leaves that was killed while
    it made or removed it.
    """
    if name not in database.list_tables().tables:
        return None
    try:
        (row,) = database.open_table(name).to_arrow().to_pylist()
    except (RuntimeError, ValueError, OSError) as error:
        if "not found" not in str(error).lower():
            raise
        return None
    return row


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """Turns the engine's errors into OSError for a full disk, and into UserError for the rest."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        if isinstance(error, UserError) or getattr(error, "errno", None) == errno.ENOSPC:
            raise
        told = str(error).splitlines()[0]
        if any(words in str(error) for words in NO_ROOM):
            raise OSError(errno.ENOSPC, f"{where}: no space left on the device") from error
        if "onflict" in told:
            raise UserError(
                f"{where} was written to by another process meanwhile; give the command again"
            ) from error
        raise UserError(f"{where} cannot be used: {told}") from error
