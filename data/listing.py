"""Lists image files with their labels."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data.dataset_spec import WHERE_ROOT
from data.file_names import NamePattern
from data.labels import Names, is_junk, numbered
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.image_files import SUFFIXES, is_image

MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


class Picture(NamedTuple):
    """One image file and its labels as texts.

    name: its path inside the data set, with slashes; camera: "" where it is not known; split: ""
    where the data set does not say.
    """

    path: Path
    name: str
    identity: str
    camera: str
    split: str = ""


class Entry(NamedTuple):
    """One image file and its labels as numbers; name: its path inside the data set."""

    path: Path
    name: str
    identity: int
    camera: int


Listing = dict[str, list[Entry]]  # by split, in order


def numbered_pictures(pictures: Sequence[Picture]) -> tuple[list[Entry], Names]:
    """Numbers the identities and the cameras of pictures; one that is not known is camera 0.

    Raises UserError where a name is not UTF-8, which no record and no table can keep.
    """
    for picture in pictures:
        _check_utf8(picture)
    identities, of_identities = numbered([picture.identity for picture in pictures])
    cameras, of_cameras = numbered([picture.camera or "0" for picture in pictures])
    rows = zip(pictures, identities, cameras, strict=True)
    entries = [Entry(picture.path, picture.name, *labels) for picture, *labels in rows]
    return entries, Names(of_identities, of_cameras)


def market_folders(root: Path, pattern: NamePattern) -> dict[str, list[Picture]]:
    """Lists the splits of a folder in Market-1501's layout without junk (identity -1).

    Without bounding_box_train there is no training split. Raises UserError where a folder, a file
    or a name does not fit, or a split holds only junk.
    """
    splits = {}
    for split, folder in folders_in(root, MARKET_FOLDERS).items():
        splits[split] = read_names(images_in(folder), root, pattern)
        if not splits[split]:
            raise UserError(f"{folder} holds no image except junk (identity -1): empty split")
    return splits


def market_layout(root: Path, pattern: str, cameras: range) -> Listing:
    """Lists a published data set as `market_folders` does, which has no cameras but those."""
    splits = market_folders(root, NamePattern(pattern)).items()
    return {split: _checked(pictures, cameras) for split, pictures in splits}


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
        hint = f"{root} does not exist; {WHERE_ROOT}"
    elif (root.parent / name).is_dir():
        hint = f"{root} is one level too deep; give {root.parent}"
    elif deeper := sorted(path.parent for path in root.glob(f"*/{name}") if path.is_dir()):
        hint = f"{root} is one level too high; give {deeper[0]}"
    raise UserError(f"{folder} is not a folder; {hint}")


def images_in(folder: Path) -> list[Path]:
    """Lists the image files directly in a folder, sorted by name; suffixes may be in upper case.

    Raises UserError where there is none, or two have one base name.
    """
    if files := image_files(folder):
        return files
    raise UserError(f"{folder} holds no image ({', '.join(SUFFIXES)}): {_deeper(folder, '*/*')}")


def image_files(folder: Path) -> list[Path]:
    """Lists the image files directly in a folder, sorted by name, if there are.

    Raises UserError where two have one base name.
    """
    files = [path for path in _inside(folder) if is_image(path)]
    known: dict[str, Path] = {}
    for path in files:
        other = known.setdefault(path.stem.lower(), path)
        if other is not path:
            raise UserError(f"{path} and {other.name} have one base name; remove one of the two")
    return files


def visible_images(folder: Path, pattern: str) -> Iterator[Path]:
    """Yields the image files of a glob pattern in a folder, without those in hidden folders.

    Raises UserError where a folder vanishes meanwhile, as those of /proc do.
    """
    try:
        for path in filter(is_image, folder.glob(pattern)):
            if not any(part.startswith(".") for part in path.relative_to(folder).parts):
                yield path
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error}") from error


def images_of_people(folder: Path) -> list[Path]:
    """Lists the image files in the folders of a folder, one folder a person, sorted by name.

    Raises UserError where there is none, or two in one folder have one base name.
    """
    # Programs keep small copies of pictures in hidden folders.
    people = [path for path in _inside(folder) if path.is_dir() and path.name[0] != "."]
    if files := [file for person in people for file in image_files(person)]:
        return files
    flat = image_files(folder)
    where = f"{flat[0]} lies one level too high" if flat else _deeper(folder, "*/*/*")
    raise UserError(f"{folder} holds no image in folders of people: {where}")


def parse(files: Sequence[Path], root: Path, pattern: str, cameras: range) -> list[Entry]:
    """Lists files of a published data set as `read_names` does.

    Raises UserError also where a camera is none of `cameras`.
    """
    return _checked(read_names(files, root, NamePattern(pattern)), cameras)


def read_names(files: Sequence[Path], root: Path, pattern: NamePattern) -> list[Picture]:
    """Reads identity and camera from the base names of files, without junk (identity -1).

    The names of folders say nothing. Raises UserError where the pattern does not fit a name.
    """
    pictures = []
    for path in files:
        read = pattern.read(path)
        if read is None:
            raise pattern.misfit(path)
        if not is_junk(read.identity):
            pictures.append(Picture(path, path.relative_to(root).as_posix(), *read))
    return pictures


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


def _checked(pictures: Sequence[Picture], cameras: range) -> list[Entry]:
    entries, _ = numbered_pictures(pictures)
    for entry in entries:
        check_camera(entry.path, entry.camera, cameras)
    return entries


def _check_utf8(picture: Picture) -> None:
    try:
        picture.name.encode()
    except UnicodeEncodeError as error:
        told = f"{str(picture.path)!r}: the name is not UTF-8 text; rename the file or its folder"
        raise UserError(told) from error


def _deeper(folder: Path, pattern: str) -> str:
    """Tells whether the images lie one level deeper."""
    deeper = next(filter(is_image, sorted(folder.glob(pattern))), None)
    return f"they lie one level too deep, as {deeper}; move them up" if deeper else "empty"


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error
