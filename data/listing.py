"""Lists image files and reads identity and camera from their names."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.protocol import JUNK

MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


class Entry(NamedTuple):
    """One image file; name: its path inside the data set, with slashes."""

    path: Path
    name: str
    identity: int
    camera: int


Listing = dict[str, list[Entry]]  # by split, in order


def market_layout(root: Path, pattern: str, cameras: range | None = None) -> Listing:
    """Lists the splits of a folder in Market-1501's layout without junk (identity -1).

    Without bounding_box_train there is no training split. See `parse` for pattern and cameras.
    Raises UserError where a folder, a file or a name does not fit, or a split holds only junk.
    """
    splits = {}
    for split, folder in folders_in(root, MARKET_FOLDERS).items():
        entries = parse(images_in(folder), root, pattern, cameras)
        splits[split] = [entry for entry in entries if entry.identity != JUNK]
        if not splits[split]:
            raise UserError(f"{folder} holds no image except junk (identity -1): empty split")
    return splits


def folders_in(root: Path, names: Mapping[str, str]) -> dict[str, Path]:
    """Returns the folders of a data set by the keys of their names.

    Scoring needs no training images: where only the folder "train" is missing, it is left out.
    Raises UserError where another folder is missing.
    """
    tested = {key: name for key, name in names.items() if key != "train"}
    lacking = not os.path.lexists(root / names["train"])
    if lacking and all((root / name).is_dir() for name in tested.values()):
        names = tested
    return {key: folder_in(root, name) for key, name in names.items()}


def folder_in(root: Path, name: str) -> Path:
    """Returns the folder `name` of a data set.

    Raises UserError where it is missing; the message says if it lies one level deeper or higher.
    """
    folder = root / name
    if folder.is_dir():
        return folder
    hint = f"is config.data.root, or FOLDER in BUILDER=FOLDER, the one that should hold {name}?"
    if lost := [path for path in (root, folder) if path.is_symlink() and not path.exists()]:
        hint = f"{lost[0]} is a symbolic link that leads nowhere, or to itself"
    elif not root.exists():
        hint = f"{root} does not exist"
    elif (root.parent / name).is_dir():
        hint = f"{root} is one level too deep; give {root.parent}"
    elif deeper := sorted(path.parent for path in root.glob(f"*/{name}") if path.is_dir()):
        hint = f"{root} is one level too high; give {deeper[0]}"
    raise UserError(f"{folder} is not a folder; {hint}")


def images_in(folder: Path) -> list[Path]:
    """Lists the image files directly in a folder, sorted by name; suffixes may be in upper case.

    Raises UserError where there is none, or two have one base name.
    """
    if files := _image_files(folder):
        return files
    raise UserError(f"{folder} holds no image ({', '.join(SUFFIXES)}): {_deeper(folder, '*/*')}")


def images_of_people(folder: Path) -> list[Path]:
    """Lists the image files in the folders of a folder, one folder a person, sorted by name.

    Raises UserError where there is none, or two in one folder have one base name.
    """
    people = [person for person in _inside(folder) if person.is_dir()]
    if files := [file for person in people for file in _image_files(person)]:
        return files
    flat = _image_files(folder)
    where = f"{flat[0]} lies one level too high" if flat else _deeper(folder, "*/*/*")
    raise UserError(f"{folder} holds no image in folders of people: {where}")


def parse(
    files: Sequence[Path], root: Path, pattern: str, cameras: range | None = None
) -> list[Entry]:
    """Reads identity and camera from the base names of files; folders' names say nothing.

    Args:
        pattern: regular expression with groups for identity and camera.
        cameras: the cameras of the data set; None allows any.

    Raises:
        UserError: the pattern does not compile or has not two groups, a name does not match it, or
            a camera is out of range.
    """
    compiled, entries = _compile(pattern), []
    for path in files:
        found = compiled.match(path.name)
        try:
            identity, camera = int(found[1]), int(found[2])
        except (TypeError, ValueError):
            raise UserError(
                f"{path}: the name does not give two numbers, identity and camera, by the pattern "
                f"{pattern!r}"
            ) from None
        if cameras is not None and identity != JUNK:
            check_camera(path, camera, cameras)
        entries.append(Entry(path, path.relative_to(root).as_posix(), identity, camera))
    return entries


def number_at_start(path: Path) -> int:
    """Returns the number before the first "_" of a base name; raises UserError without one."""
    text = path.stem.split("_")[0]
    if not text.isdecimal():
        raise UserError(f"{path}: the name does not open with the number of an identity")
    return int(text)


def check_camera(path: Path | str, camera: int, cameras: range) -> None:
    """Raises UserError where the data set has no such camera."""
    if camera not in cameras:
        raise UserError(
            f"{path}: camera {camera} is out of range; this data set has cameras "
            f"{cameras[0]} to {cameras[-1]}"
        )


def _deeper(folder: Path, pattern: str) -> str:
    """Tells whether the images lie one level deeper."""
    deeper = next(filter(_is_image, sorted(folder.glob(pattern))), None)
    return f"they lie one level too deep, as {deeper}; move them up" if deeper else "empty"


def _image_files(folder: Path) -> list[Path]:
    files = [path for path in _inside(folder) if _is_image(path)]
    known: dict[str, Path] = {}
    for path in files:
        other = known.setdefault(path.stem.lower(), path)
        if other is not path:
            raise UserError(f"{path} and {other.name} have one base name; remove one of the two")
    return files


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error


def _is_image(path: Path) -> bool:
    # macOS leaves "._name.jpg" beside a file, which is no picture.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        told = f"config.data.pattern = {pattern!r} is not a regular expression: {error}"
        raise UserError(told) from error
    if compiled.groups != 2:
        raise UserError(
            f"config.data.pattern = {pattern!r} has {compiled.groups} groups; it needs two, for "
            "identity and camera"
        )
    return compiled
