"""A folder of pictures of one's own, in any of three layouts."""

import logging
import os
import re
from pathlib import Path

from data.dataset_spec import DEFAULT_PATTERN, WHERE_PATTERN, DatasetSpec
from data.file_names import NamePattern, camera_words
from data.labels import is_junk, plain
from data.listing import (
    MARKET_FOLDERS,
    SUFFIXES,
    Picture,
    image_files,
    images_of_people,
    market_folders,
    read_names,
    visible_images,
)
from data.own_pictures import OwnBuilder
from dpeformer_jax.base.errors import UserError

log = logging.getLogger(__name__)

ADVICE = (
    "Put the pictures of each person into a folder of their own (FOLDER/anna/1.jpg); or put all "
    f"into FOLDER, with identity and camera in their names, which the pattern ({WHERE_PATTERN}) "
    "reads; or use Market-1501's layout (bounding_box_train, query, bounding_box_test); or list "
    "them in a table, which config.data.builder=reid_csv reads (`python -m data.table FOLDER` "
    "writes one of any of these folders)"
)


class ReidFolder(OwnBuilder):
    """A folder of your own, in one of three layouts.

    One folder a person, whose name is the identity. The base names may tell the camera, by
    `config.data.pattern` or as a word (cam2, camera-2, or c2 where two pictures of one person have
    the same):

        FOLDER/
          person_0001/   cam1_000.png  cam2_000.png ...
          person_0002/   cam1_000.png ...

    All pictures in FOLDER, with names that match `config.data.pattern`:

        FOLDER/   0001_c1_0001.jpg  0001_c2_0007.jpg ...

    Both are divided by identity (data/splitting.py). Or the layout of Market-1501, with names that
    match `config.data.pattern`; identity 0 is a distractor; without bounding_box_train the folder
    is for testing only:

        FOLDER/
          bounding_box_train/   0001_c1_0001.jpg ...
          query/                0501_c1_0003.jpg ...
          bounding_box_test/    0501_c2_0009.jpg ...

    Identity -1 is junk and is left out. Identities and cameras may be texts.
    """

    @classmethod
    def title(cls, spec: DatasetSpec) -> str:
        return re.sub(r"\W", "_", Path(spec.root).name)

    @classmethod
    def training_folder(cls, spec: DatasetSpec) -> Path:
        return spec.folder / MARKET_FOLDERS["train"]

    @classmethod
    def pictures(cls, spec: DatasetSpec) -> list[Picture]:
        root = spec.folder
        _check_folder(root)
        if _is_of_market(root):
            splits = market_folders(root, NamePattern(spec.pattern))
            return [p._replace(split=split) for split, own in splits.items() for p in own]
        _check_layout(root)
        flat = image_files(root)
        return _of_names(flat, root, spec.pattern) if flat else _of_people(root, spec.pattern)


def _check_folder(root: Path) -> None:
    if root.is_dir():
        return
    told = "does not exist"
    if root.is_file():
        told = "is a file; a table is read by config.data.builder=reid_csv"
    elif root.is_symlink():
        told = "is a symbolic link that leads nowhere, or to itself"
    raise UserError(f"{root} is not a folder: it {told}")


def _is_of_market(root: Path) -> bool:
    """Tells whether a folder, or the one above or below it, is in Market-1501's layout."""
    folders = MARKET_FOLDERS.values()
    beside = [name for name in folders if name != root.name and (root.parent / name).is_dir()]
    return (
        any(os.path.lexists(root / name) for name in folders)
        or bool(root.name in folders and beside)
        or any(any(root.glob(f"*/{name}")) for name in folders)
    )


def _check_layout(root: Path) -> None:
    """Raises UserError unless all pictures lie in the folder, or all in folders of people."""
    levels = ("*", "*/*", "*/*/*")
    flat, of_people, too_deep = (next(visible_images(root, level), None) for level in levels)
    if too_deep:
        hint = "" if flat or of_people else f": is {too_deep.parents[1]} the folder to give?"
        raise UserError(f"{too_deep} lies too deep in {root}{hint or '.'} {ADVICE}")
    if flat and of_people:
        raise UserError(f"{root} is a mixture: {flat} is in it, {of_people} in a folder. {ADVICE}")
    if not flat and not of_people:
        raise UserError(f"{root} holds no image ({', '.join(SUFFIXES)}). {ADVICE}")


def _of_names(files: list[Path], root: Path, pattern: str) -> list[Picture]:
    """Reads identity and camera from the names."""
    try:
        return read_names(files, root, NamePattern(pattern))
    except UserError as error:
        one = f"If all of {root} shows one person, give {root.parent}"
        raise UserError(f"{error}. {one}. {ADVICE}") from error


def _of_people(root: Path, pattern: str) -> list[Picture]:
    """Takes the identity from the folder's name and the camera from the base name."""
    files = [path for path in images_of_people(root) if not is_junk(path.parent.name)]
    _refuse_one_person_twice(files)
    cameras = _cameras(files, pattern)
    return [
        Picture(path, path.relative_to(root).as_posix(), path.parent.name, camera)
        for path, camera in zip(files, cameras, strict=True)
    ]


def _refuse_one_person_twice(files: list[Path]) -> None:
    """Raises UserError where the names of two folders are one number."""
    known: dict[str, Path] = {}
    for folder in dict.fromkeys(path.parent for path in files):
        other = known.setdefault(plain(folder.name), folder)
        if other is not folder:
            raise UserError(
                f"{other} and {folder} are both identity {plain(folder.name)}; put the pictures of "
                "one person into one folder, or rename one of the two"
            )


def _cameras(files: list[Path], pattern: str) -> list[str]:
    """Returns the camera of each file; "" for all where the names do not all tell one."""
    names = NamePattern(pattern, identity=False)
    read = [names.read(path) for path in files]
    if all(read):
        return [labels.camera for labels in read]
    if pattern != DEFAULT_PATTERN:
        unread = files[read.index(None)]
        told = f"the pattern {pattern!r} ({WHERE_PATTERN}) does not fit the name of {unread}"
        raise UserError(told)
    words = camera_words(files)
    if any(words) and not all(words):
        log.warning(
            f"no camera is used, for {words.count('')} of {len(words)} names tell none, as "
            f"{files[words.index('')]}"
        )
    return words if all(words) else [""] * len(files)
