"""Occluded-Duke: its own folder, or DukeMTMC-reID with the authors' three lists."""

from pathlib import Path

from data.builder import Counts, FolderBuilder
from data.builders.dukemtmc_reid import CAMERAS, GALLERY, PATTERN
from data.errors import DataError
from data.listing import MARKET_FOLDERS, Listing, folder_in, images_in, market_layout, parse
from data.source import Source
from data.tables import read_list

# Where the authors' own converter looks for the files of a list, in this order.
SOUGHT_IN = {"train": ("train", "gallery"), "query": ("query", "gallery"), "gallery": ("gallery",)}


class OccludedDuke(FolderBuilder):
    """Occluded-Duke (Occluded-DukeMTMC): DukeMTMC-reID split anew, every query occluded.

    Source: the authors publish three lists of file names
    (https://github.com/lightas/Occluded-DukeMTMC-Dataset); the images are DukeMTMC-reID's, which
    were withdrawn in 2019. Nothing is downloaded; only a copy that you already have is read.

    Layout, either its own folder:

        Occluded_Duke/
          bounding_box_train/   0001_c2_f0046182.jpg ...
          query/                0019_c1_f0051230.jpg ...
          bounding_box_test/    0002_c1_f0044158.jpg ...

    or DukeMTMC-reID with the lists in it, or in a folder `Occluded_Duke` in it:

        DukeMTMC-reID/
          bounding_box_train/ query/ bounding_box_test/
          train.list query.list gallery.list          one base name a line

    Both give the same fingerprint. 1,870 of the query's files stand in the gallery too: the camera
    rule hides them from CMC and mAP, but not from re-ranking or query expansion. 591 of the
    gallery's identities are distractors.

    Counts (identities / images / cameras): train 702 / 15,618 / 8, query 519 / 2,210 / 8, gallery
    1,110 / 17,661 / 8.

    Citation: J. Miao, Y. Wu, P. Liu, Y. Ding, Y. Yang. Pose-Guided Feature Alignment for Occluded
    Person Re-Identification. ICCV 2019. The images: see DukeMTMCReID.
    """

    name = "occluded_duke"
    PUBLISHED = {
        "": {"train": Counts(702, 15618, 8), "query": Counts(519, 2210, 8), "gallery": GALLERY}
    }

    @classmethod
    def scan(cls, source: Source) -> Listing:
        lists = _lists_in(source.folder)
        if lists is None:
            return market_layout(source.folder, PATTERN, CAMERAS)
        return _listed(source.folder, lists)


def _lists_in(root: Path) -> Path | None:
    return next((f for f in (root, root / "Occluded_Duke") if any(f.glob("*.list"))), None)


def _listed(root: Path, lists: Path) -> Listing:
    """The splits of the lists, under the names they have in the folder of Occluded-Duke."""
    known = {
        split: {entry.path.name: entry for entry in parse(files, root, PATTERN, CAMERAS)}
        for split, files in (
            (split, images_in(folder_in(root, name))) for split, name in MARKET_FOLDERS.items()
        )
    }
    splits = {}
    for split, sought in SOUGHT_IN.items():
        path = lists / f"{split}.list"
        splits[split] = []
        for name in _names(path):
            found = next((known[folder][name] for folder in sought if name in known[folder]), None)
            if found is None:
                folders = " or ".join(MARKET_FOLDERS[folder] for folder in sought)
                raise DataError(f"{path} names {name}, which is not in {folders} of {root}")
            splits[split].append(found._replace(name=f"{MARKET_FOLDERS[split]}/{name}"))
    return splits


def _names(path: Path) -> list[str]:
    names = sorted(line.rsplit("/", 1)[-1] for line in read_list(path))
    if repeated := [a for a, b in zip(names, names[1:], strict=False) if a == b]:
        raise DataError(f"{path} names {repeated[0]} twice")
    return names
