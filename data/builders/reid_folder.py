"""Any folder in the layout of Market-1501."""

import dataclasses
import hashlib
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from PIL import Image

from data.builder import reid_info, reid_record
from data.errors import DataError

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
JUNK = -1
READ_AT_ONCE = 256


class Entry(NamedTuple):
    """One image file and what its name says."""

    path: Path
    identity: int
    camera: int


@dataclasses.dataclass(kw_only=True)
class FolderConfig(tfds.core.BuilderConfig):
    """root: the folder; pattern: regular expression with groups for identity and camera."""

    root: str
    pattern: str


def folder_config(root: str, pattern: str) -> FolderConfig:
    """The config of a folder as it is now: its name changes when a file does.

    Raises:
        DataError: see `scan`.
    """
    folder = Path(root).expanduser().absolute()
    digest = hashlib.sha256(f"{folder}\n{pattern}\n".encode())
    for split in FOLDERS:
        for entry in scan(folder, split, pattern):
            status = entry.path.stat()
            digest.update(f"{entry}{status.st_size}{status.st_mtime_ns}\n".encode())
    name = re.sub(r"\W", "_", folder.name) + "-" + digest.hexdigest()[:12]
    return FolderConfig(name=name, root=str(folder), pattern=pattern)


def scan(root: Path, split: str, pattern: str) -> list[Entry]:
    """The images of a split by file name, without junk (identity -1).

    Raises:
        DataError: no such folder, no image in it, a pattern that does not compile or has not two
            groups, or a name that it does not match.
    """
    folder = root / FOLDERS[split]
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder; config.data.root must hold "
            f"{', '.join(FOLDERS.values())} (the layout of Market-1501)"
        )
    name_pattern = _compile(pattern)
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    entries = [_parse(path, name_pattern) for path in files]
    entries = [entry for entry in entries if entry.identity != JUNK]
    if not entries:
        raise DataError(f"{folder} holds no image ({', '.join(SUFFIXES)}) but junk: empty split")
    return entries


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"config.data.pattern = {pattern!r} is not a pattern: {error}") from error
    if compiled.groups != 2:
        raise DataError(
            f"config.data.pattern = {pattern!r} has {compiled.groups} groups; it needs two, "
            "for the number of the identity and that of the camera"
        )
    return compiled


def _parse(path: Path, pattern: re.Pattern[str]) -> Entry:
    found = pattern.match(path.name)
    try:
        return Entry(path, int(found[1]), int(found[2]))
    except (TypeError, ValueError):
        raise DataError(
            f"{path}: the name does not give two numbers, identity and camera, by "
            f"config.data.pattern = {pattern.pattern!r}"
        ) from None


class ReidFolder(tfds.core.GeneratorBasedBuilder):
    """Any folder with bounding_box_train, query and bounding_box_test.

    Identity -1 is junk and left out; identity 0 is a distractor. Files are stored as they are.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return reid_info(self, "A folder of person images in the layout of Market-1501.")

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        root, pattern = Path(self.builder_config.root), self.builder_config.pattern
        return {split: self._generate_examples(scan(root, split, pattern)) for split in FOLDERS}

    def _generate_examples(self, entries: list[Entry]) -> Iterator[tuple[int, dict[str, Any]]]:
        root = Path(self.builder_config.root)
        damaged = 0
        for index, (entry, encoded) in enumerate(_read_all(entries)):
            path = str(entry.path.relative_to(root))
            if encoded is None:
                damaged += 1
                self.info.metadata["skipped"].append(path)
                continue
            yield index, reid_record(encoded, entry.identity, entry.camera, path)
        if damaged == len(entries):
            raise DataError(
                f"none of the {damaged} images of {entries[0].path.parent} decodes: empty split"
            )


def _read_all(entries: list[Entry]) -> Iterator[tuple[Entry, bytes | None]]:
    """Files in order, read by threads, READ_AT_ONCE of them in memory."""
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(entries), READ_AT_ONCE):
            some = entries[start : start + READ_AT_ONCE]
            yield from zip(some, pool.map(_read, some), strict=True)


def _read(entry: Entry) -> bytes | None:
    """The file, or None if it does not decode."""
    try:
        encoded = entry.path.read_bytes()
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError):
        return None
    return encoded
