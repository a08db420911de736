"""Occluded-Duke: its own folder, or DukeMTMC-reID with the authors' three lists."""

from itertools import pairwise
from pathlib import Path

from data.builder import Counts, MarketBuilder
from data.builders.dukemtmc_reid import GALLERY, DukeMTMCReID
from data.dataset_spec import DatasetSpec
from data.listing import MARKET_FOLDERS, Entry, Listing, folders_in, images_in, parse
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.tables import read_list

# The folders in which the authors' own converter seeks the files of a list, in this order.
SOUGHT_IN = {"train": ("train", "gallery"), "query": ("query", "gallery"), "gallery": ("gallery",)}


class OccludedDuke(MarketBuilder):
    """Occluded-Duke (Occluded-DukeMTMC): a new split of DukeMTMC-reID with occluded queries only.

    Source: the authors publish three lists of file names
    (https://github.com/lightas/Occluded-DukeMTMC-Dataset); the images are those of
    DukeMTMC-reID, which were withdrawn in 2019. Nothing is downloaded; the builder reads a copy
    that you already have.

    Layout, either a folder of its own:

        Occluded_Duke/
          bounding_box_train/   0001_c2_f0046182.jpg ...
          query/                0019_c1_f0051230.jpg ...
          bounding_box_test/    0002_c1_f0044158.jpg ...

    or DukeMTMC-reID with the lists in it, or in a folder `Occluded_Duke` in it:

        DukeMTMC-reID/
          bounding_box_train/ query/ bounding_box_test/
          train.list query.list gallery.list          one base name a line

    Both give the same fingerprint. 1,870 files of the query are in the gallery too: the camera rule
    hides them from CMC and mAP, but not from re-ranking or query expansion. 591 identities of the
    gallery are distractors.

    Counts (identities / images / cameras): train 702 / 15,618 / 8, query 519 / 2,210 / 8, gallery
    1,110 / 17,661 / 8.

    Citation: J. Miao, Y. Wu, P. Liu, Y. Ding, Y. Yang. Pose-Guided Feature Alignment for Occluded
    Person Re-Identification. ICCV 2019. The images: see DukeMTMCReID.
    """

    name = "occluded_duke"
    CAMERAS = DukeMTMCReID.CAMERAS
    PUBLISHED = {
        "": {"train": Counts(702, 15618, 8), "query": Counts(519, 2210, 8), "gallery": GALLERY}
    }

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        root = spec.folder
        lists = next((f for f in (root, root / "Occluded_Duke") if any(f.glob("*.list"))), None)
        if lists is None:
            return super().scan(spec)
        known = {
            split: {
                e.path.name: e for e in parse(images_in(folder), root, cls.PATTERN, cls.CAMERAS)
            }
            for split, folder in folders_in(root, MARKET_FOLDERS).items()
        }
        return {split: _found(root, lists, split, known) for split in known}


def _found(root: Path, lists: Path, split: str, known: dict[str, dict[str, Entry]]) -> list[Entry]:
    """Returns the files that the list of a split names, named as in the folder of Occluded-Duke."""
    path, sought = lists / f"{split}.list", [name for name in SOUGHT_IN[split] if name in known]
    entries = []
    for name in _names(path):
        found = next((known[folder][name] for folder in sought if name in known[folder]), None)
        if found is None:
            folders = " or ".join(MARKET_FOLDERS[folder] for folder in sought)
            raise UserError(f"{path} names {name}, which is not in {folders} of {root}")
        entries.append(found._replace(name=f"{MARKET_FOLDERS[split]}/{name}"))
    return entries


def _names(path: Path) -> list[str]:
    names = sorted(line.rsplit("/", 1)[-1] for line in read_list(path))
    if repeated := [a for a, b in pairwise(names) if a == b]:
        raise UserError(f"{path} names {repeated[0]} twice")
    return names
