"""A folder of pictures of one's own, in any of three layouts."""

import logging
import os
import re
from pathlib import Path

from data.dataset_spec import DEFAULT_PATTERN, WHERE_PATTERN, WHERE_ROOT, DatasetSpec
from data.file_names import NamePattern, camera_words
from data.labels import is_junk, plain
from data.listing import (
    MARKET_FOLDERS,
    Picture,
    image_files,
    images_of_people,
    market_folders,
    read_names,
    visible_images,
)
from data.own_pictures import Arranged, OwnBuilder
from data.splitting import TooFewPeople
from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.image_files import SUFFIXES

log = logging.getLogger(__name__)

ADVICE = (
    "Put the pictures of each person into a folder of their own (FOLDER/anna/1.jpg); or put all "
    f"into FOLDER, with identity and camera in their names, which the pattern ({WHERE_PATTERN}) "
    "reads; or use Market-1501's layout (bounding_box_train, query, bounding_box_test); or list "
    "them in a table, which config.data.builder=reid_csv reads"
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

    @classmethod
    def arranged(cls, spec: DatasetSpec) -> Arranged:
        try:
            return super().arranged(spec)
        except TooFewPeople as error:
            root = spec.folder
            taken = "" if image_files(root) else f". Each folder in {root} was taken for a person"
            raise TooFewPeople(f"{error}{taken}{_tables_told(root)}") from error


def _check_folder(root: Path) -> None:
    if root.is_dir():
        return
    told = f"does not exist; {WHERE_ROOT}"
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
        told = f"{too_deep} lies one level too deep in {root}"
        hint = _deep_hint(too_deep, root, others=bool(flat or of_people))
        raise UserError(f"{told}{hint} {_advice(root)}")
    if flat and of_people:
        told = f"{root} is a mixture: {flat} is in it, {of_people} in a folder"
        raise UserError(f"{told}. {_advice(root)}")
    if not flat and not of_people:
        raise UserError(f"{root} holds no image ({', '.join(SUFFIXES)}). {_advice(root)}")


def _deep_hint(picture: Path, root: Path, others: bool) -> str:
    """Says what to do with a picture in a folder of a folder; others: whether some lie higher."""
    upper, lower = picture.parents[1], picture.parent
    if not others and {path.parents[1] for path in visible_images(root, "*/*/*")} == {upper}:
        return f": is {upper} the folder to give?"
    moved = upper / f"{lower.name}_{picture.name}"
    return (
        f", whose folders are people and hold no folders. If {upper.name} is a person, rename the "
        f"picture to {moved}; if {lower.name} is one, move that folder to {root}."
    )


def _advice(root: Path) -> str:
    return f"{ADVICE}{_tables_told(root)}"


def _tables_told(root: Path) -> str:
    """Names the tables in a folder, which may be what the user means; "" where there is none."""
    tables = sorted(root.glob("*.csv"))
    if not tables:
        return ""
    names = some([table.name for table in tables], 3)
    return (
        f". {root} holds {names}: to read a table, give config.data.builder=reid_csv and "
        f"config.data.root={tables[0]}"
    )


def _of_names(files: list[Path], root: Path, pattern: str) -> list[Picture]:
    """Reads identity and camera from the names."""
    try:
        return read_names(files, root, NamePattern(pattern))
    except UserError as error:
        if pattern != DEFAULT_PATTERN:
            raise
        # The user has chosen no pattern, and may mean another layout.
        one = f"If all of {root} shows one person, give {root.parent}"
        raise UserError(f"{error}. {one}. {_advice(root)}") from error


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
        raise names.misfit(files[read.index(None)])
    words = camera_words(files)
    if any(words) and not all(words):
        log.warning(
            f"no camera is used, for {words.count('')} of {len(words)} names tell none, as "
            f"{files[words.index('')]}"
        )
    return words if all(words) else [""] * len(files)
