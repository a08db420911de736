"""MSMT17, versions 1 and 2."""

from itertools import pairwise
from pathlib import Path

from data.builder import Counts, FolderBuilder
from data.dataset_spec import DatasetSpec
from data.listing import Entry, Listing, check_camera, folders_in
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.tables import read_list

CAMERAS = range(15)
FOLDERS = {
    "v1": {"train": "train", "test": "test"},
    "v2": {"train": "mask_train_v2", "test": "mask_test_v2"},
}
TEST = {"query": Counts(3060, 11659, 15), "gallery": Counts(3060, 82161, 15)}
WHOLE = {"train": Counts(1041, 32621, 15)} | TEST
WITHOUT_VAL = {"train": Counts(1041, 30248, 15, certain=False)} | TEST


class MSMT17(FolderBuilder):
    """MSMT17: fifteen cameras on a campus, indoors and outdoors, at four times of the year.

    Source: the authors give it to researchers who sign a release agreement. Version 2 has blurred
    faces, so its scores are not comparable with those of version 1.

    Layout:

        MSMT17_V1/
          train/   0000/0000_000_01_0303morning_0008_0.jpg ...
          test/    0000/0000_000_01_0303morning_0006_0.jpg ...
          list_train.txt list_val.txt list_query.txt list_gallery.txt     lines of "path identity"
        MSMT17_V2/
          mask_train_v2/ mask_test_v2/ and the lists

    The camera is the third field of the base name, minus 1. Train and test number their identities
    separately. Training uses list_train and list_val; the variants that end in "_without_val" use
    list_train alone, as some programs do. Without the train folder the data set is for testing.

    Counts (identities / images / cameras): train 1,041 / 32,621 / 15 (30,248 images without
    list_val), query 3,060 / 11,659 / 15, gallery 3,060 / 82,161 / 15. They were published for
    version 1 with list_val; other counts of version 2, or without list_val, are only warned of.

    Citation: L. Wei, S. Zhang, W. Gao, Q. Tian. Person Transfer GAN to Bridge Domain Gap for
    Person Re-Identification. CVPR 2018.
    """

    name = "msmt17"
    VARIANTS = ("v1", "v2", "v1_without_val", "v2_without_val")
    ONE_NUMBERING = False
    PUBLISHED = {
        "v1": WHOLE,
        "v1_without_val": WITHOUT_VAL,
        "v2": {split: counts._replace(certain=False) for split, counts in WHOLE.items()},
        "v2_without_val": {s: counts._replace(certain=False) for s, counts in WITHOUT_VAL.items()},
    }

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        version, _, without_val = cls.variant_of(spec).partition("_")
        folders = folders_in(spec.folder, FOLDERS[version])
        training = ["list_train.txt"] if without_val else ["list_train.txt", "list_val.txt"]
        splits = {}
        if "train" in folders:
            splits["train"] = _listed(spec.folder, training, folders["train"])
        for split in ("query", "gallery"):
            splits[split] = _listed(spec.folder, [f"list_{split}.txt"], folders["test"])
        return splits

    @classmethod
    def training_folder(cls, spec: DatasetSpec) -> Path:
        return spec.folder / FOLDERS[cls.variant_of(spec)[:2]]["train"]


def _listed(root: Path, lists: list[str], folder: Path) -> list[Entry]:
    """Returns the images in `folder` that some lists of `root` name, sorted by name."""
    lines = [(root / name, line) for name in lists for line in read_list(root / name)]
    entries = sorted((_entry(*line, folder) for line in lines), key=lambda entry: entry.name)
    for entry, following in pairwise(entries):
        if entry.name == following.name:
            raise UserError(f"{root}: {entry.name} is listed twice in {' and '.join(lists)}")
    return entries


def _entry(path: Path, line: str, folder: Path) -> Entry:
    try:
        name, identity = line.rsplit(maxsplit=1)
        number, camera = int(identity), int(name.rsplit("/", 1)[-1].split("_")[2]) - 1
    except (ValueError, IndexError):
        raise UserError(
            f"{path}: the line {line!r} must be a path, whose base name has the camera as third "
            "field, and an identity"
        ) from None
    check_camera(f"{path}: {name}", camera, CAMERAS)
    return Entry(folder / name, f"{folder.name}/{name}", number, camera)
