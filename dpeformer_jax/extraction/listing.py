"""The pictures that a command line names: files, folders, lists and tables."""

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.image_files import SUFFIXES, is_image
from dpeformer_jax.base.places import is_url
from dpeformer_jax.base.tables import read_lines, read_table
from dpeformer_jax.extraction.items import Item, seconds_of
from dpeformer_jax.extraction.object_store import pictures_below

LISTS, TABLES = (".txt", ".lst"), (".csv",)
GROUPS = {"identity", "camera", "time"}


@dataclasses.dataclass(frozen=True)
class Labels:
    """How identity, camera and time of pictures are found where no table tells them.

    identity, camera, time: the same for all pictures, "" where they are not known.
    folders: whether the name of a picture's folder is the identity.
    names: a regular expression that base names open with, with some of the groups identity, camera
        and time; "" for none.

    Raises:
        UserError: `names` is no such expression, or `time` is none.
    """

    identity: str = ""
    camera: str = ""
    time: str = ""
    folders: bool = False
    names: str = ""

    def __post_init__(self):
        seconds_of(self.time)
        try:
            groups = re.compile(self.names).groupindex
        except re.error as error:
            raise UserError(f"names {self.names!r} is no regular expression: {error}") from error
        if self.names and (not groups or set(groups) - GROUPS):
            raise UserError(
                f"names {self.names!r} must have some of the groups (?P<identity>...), "
                "(?P<camera>...) and (?P<time>...), and no other named ones"
            )

    def item(self, path: Path | str, **told: str) -> Item:
        """Returns the picture at a path or URL; told: labels that a table gives of it.

        Raises:
            UserError: `names` does not fit the file's name.
        """
        found = {"identity": self.identity, "camera": self.camera, "time": self.time}
        file = Path(path)
        if self.folders:
            found["identity"] = file.absolute().parent.name
        if self.names:
            match = re.match(self.names, file.name)
            if match is None:
                raise UserError(f"{path}: its name does not open with the pattern {self.names!r}")
            found |= {name: text or "" for name, text in match.groupdict().items()}
        found |= {name: text for name, text in told.items() if text}
        return Item(str(path), found["identity"], found["camera"], seconds_of(found["time"]))


class Listing:
    """Pictures in a fixed order; each iteration reads the folders and tables anew.

    On disk no more than one folder's names are held in memory, so that there may be any number.
    """

    def __init__(self, sources: Sequence[str | Path], labels: Labels | None = None):
        """Takes picture files, folders (also s3://bucket/folder), lists (*.txt), tables (*.csv).

        A list names a picture a line. A table's first line names its columns: path, and of
        identity, camera and time what is known. Paths in both are relative to the file's folder.

        Raises:
            UserError: a source does not exist or is of another kind.
        """
        self._sources = [
            str(source) if is_url(source) else Path(source).expanduser() for source in sources
        ]
        self._labels = Labels() if labels is None else labels
        for source in self._sources:
            _check(source)

    def __iter__(self) -> Iterator[Item]:
        for source in self._sources:
            yield from self._items(source)

    def count(self) -> int:
        """Returns the number of pictures."""
        return sum(1 for _ in self)

    def _items(self, source: Path | str) -> Iterator[Item]:
        if isinstance(source, str):
            yield from map(self._labels.item, pictures_below(source))
        elif source.is_dir():
            yield from map(self._labels.item, _images_below(source))
        elif source.suffix.lower() in LISTS:
            yield from (self._labels.item(source.parent / line) for line in read_lines(source))
        elif source.suffix.lower() in TABLES:
            for line, row in read_table(source, ("path",), sorted(GROUPS)):
                try:
                    yield self._labels.item(source.parent / row.pop("path"), **row)
                except UserError as error:
                    raise UserError(f"{source}, line {line}: {error}") from error
        else:
            yield self._labels.item(source)


def _check(source: Path | str) -> None:
    if isinstance(source, str):
        next(pictures_below(source))
        return
    if not source.exists():
        raise UserError(f"{source} does not exist; give a picture, a folder, a list or a table")
    kinds = (*SUFFIXES, *LISTS, *TABLES)
    if not source.is_dir() and source.suffix.lower() not in kinds:
        raise UserError(
            f"{source} is no source of pictures; give a folder or a file named {', '.join(kinds)}"
        )
    if source.is_dir() and next(_images_below(source), None) is None:
        raise UserError(f"{source} holds no picture ({', '.join(SUFFIXES)})")


def _images_below(folder: Path) -> Iterator[Path]:
    """Yields the pictures of a folder and, behind them, of the folders in it, each sorted."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error

    for root, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from filter(is_image, (Path(root, name) for name in sorted(files)))
