"""Listing image files and reading identity and camera from their names: what layouts share."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from data.errors import DataError

MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
JUNK = -1


class Entry(NamedTuple):
    """One image file.

    name: its path inside the data set, with slashes; identity, camera: what the layout says.
    """

    path: Path
    name: str
    identity: int
    camera: int


Listing = dict[str, list[Entry]]  # by split, in order


def market_layout(
    root: Path, pattern: str, cameras: range | None = None, folders: dict[str, str] = MARKET_FOLDERS
) -> Listing:
    """The splits of a folder in Market-1501's layout, without junk (identity -1).

    Args:
        root: the folder that holds bounding_box_train, query and bounding_box_test.
        pattern: of base names, with groups for identity and camera.
        cameras: the numbers there are; None takes any.
        folders: of the splits.

    Raises:
        DataError: see `folder_in`, `images_in` and `parse`; or a split of junk only.
    """
    splits = {}
    for split, name in folders.items():
        entries = parse(images_in(folder_in(root, name)), root, pattern, cameras)
        splits[split] = [entry for entry in entries if entry.identity != JUNK]
        if not splits[split]:
            raise DataError(f"{root / name} holds no image but junk (identity -1): empty split")
    return splits


def folder_in(root: Path, name: str) -> Path:
    """The folder `name` of a data set.

    Raises:
        DataError: there is none; says so where it lies one level deeper or higher.
    """
    folder = root / name
    if folder.is_dir():
        return folder
    hint = f"is config.data.root, or FOLDER in BUILDER=FOLDER, the one that should hold {name}?"
    if lost := next(
        (path for path in (root, folder) if path.is_symlink() and not path.exists()), None
    ):
        hint = f"{lost} is a symbolic link that leads nowhere, or to itself"
    elif not root.exists():
        hint = f"{root} does not exist"
    elif (root.parent / name).is_dir():
        hint = f"{root} is one level too deep; give {root.parent}"
    elif deeper := sorted(path.parent for path in root.glob(f"*/{name}") if path.is_dir()):
        hint = f"{root} is one level too high; give {deeper[0]}"
    raise DataError(f"{folder} is not a folder; {hint}")


def images_in(folder: Path) -> list[Path]:
    """The image files right in a folder, by name; suffixes may be in upper case.

    Raises:
        DataError: none there, or two of one base name.
    """
    files = _image_files(folder)
    if not files:
        deeper = next((f for f in sorted(folder.glob("*/*")) if _is_image(f)), None)
        raise DataError(
            f"{folder} holds no image ({', '.join(SUFFIXES)}): "
            + (f"they lie one level too deep, as {deeper}; move them up" if deeper else "empty")
        )
    return files


def images_of_people(folder: Path) -> list[Path]:
    """The image files in the folders of a folder, one folder a person, by name.

    Raises:
        DataError: none there, or two of one base name in one folder.
    """
    files = [file for person in _inside(folder) for file in _of_person(person)]
    if not files:
        raise DataError(f"{folder} holds no image in folders of people: {_elsewhere(folder)}")
    return files


def cameraless_layout(
    root: Path, folders: dict[str, str], images: Callable[[Path], list[Path]] = images_in
) -> Listing:
    """Query and gallery without recorded cameras: by convention the query is camera 0, the gallery
    camera 1. Base names open with the identity.

    Args:
        folders: of query and gallery in `root`; images: lists the files of one.

    Raises:
        DataError: see `folder_in`, `images_in` and `number_at_start`.
    """
    return {
        split: [
            Entry(path, relative(path, root), number_at_start(path), camera)
            for path in images(folder_in(root, folders[split]))
        ]
        for camera, split in enumerate(("query", "gallery"))
    }


def parse(
    files: Sequence[Path], root: Path, pattern: str, cameras: range | None = None
) -> list[Entry]:
    """Entries of files whose base names give identity and camera.

    Only the base name is looked at: a folder called "cam_c1" says nothing.

    Raises:
        DataError: a pattern that does not compile or has not two groups, a name that it does not
            match, or a camera out of range.
    """
    compiled = _compile(pattern)
    return [_parse(path, root, compiled, cameras) for path in files]


def number_at_start(path: Path) -> int:
    """The number before the first "_" of a base name.

    Raises:
        DataError: there is none.
    """
    text = path.stem.split("_")[0]
    if not text.isdecimal():
        raise DataError(f"{path}: the name does not open with the number of an identity")
    return int(text)


def check_camera(path: Path | str, camera: int, cameras: range) -> int:
    """The camera, if the data set has it.

    Raises:
        DataError: it does not.
    """
    if camera not in cameras:
        raise DataError(
            f"{path}: camera {camera} is out of range; this data set has cameras "
            f"{cameras[0]} to {cameras[-1]}"
        )
    return camera


def relative(path: Path, root: Path) -> str:
    """The path inside the data set, with slashes on every system."""
    return path.relative_to(root).as_posix()


def _of_person(folder: Path) -> list[Path]:
    return _image_files(folder) if folder.is_dir() else []


def _elsewhere(folder: Path) -> str:
    """Where the images are instead of in folders of people."""
    if flat := _image_files(folder):
        return f"{flat[0]} lies one level too high"
    if deeper := next((f for f in sorted(folder.glob("*/*/*")) if _is_image(f)), None):
        return f"they lie one level too deep, as {deeper}; move them up"
    return "empty"


def _image_files(folder: Path) -> list[Path]:
    files = [path for path in _inside(folder) if _is_image(path)]
    known: dict[str, Path] = {}
    for path in files:
        other = known.setdefault(path.stem.lower(), path)
        if other is not path:
            raise DataError(
                f"{path} and {other.name} have one base name: is one a copy of the other? "
                "Remove one"
            )
    return files


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error


def _is_image(path: Path) -> bool:
    # "._name.jpg" is what macOS leaves beside a file, and no picture.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


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


def _parse(path: Path, root: Path, pattern: re.Pattern[str], cameras: range | None) -> Entry:
    found = pattern.match(path.name)
    try:
        identity, camera = int(found[1]), int(found[2])
    except (TypeError, ValueError):
        raise DataError(
            f"{path}: the name does not give two numbers, identity and camera, by the pattern "
            f"{pattern.pattern!r}"
        ) from None
    if cameras is not None and identity != JUNK:
        check_camera(path, camera, cameras)
    return Entry(path, relative(path, root), identity, camera)
