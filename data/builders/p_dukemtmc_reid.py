"""P-DukeMTMC-reID, from a copy that the user already has."""

from collections.abc import Iterator
from pathlib import Path

from data.builder import Counts, FolderBuilder
from data.errors import DataError
from data.listing import Entry, Listing, folder_in, images_of_people, relative
from data.source import Source

OCCLUDED, WHOLE = "occluded_body_images", "whole_body_images"
CAMERA_OF = {OCCLUDED: 0, WHOLE: 1}


class PDukeMTMCReID(FolderBuilder):
    """P-DukeMTMC-reID: people of DukeMTMC that are seen both occluded and whole.

    Source: https://github.com/tinajia2012/ICME2018_Occluded-Person-Reidentification_datasets. The
    images are DukeMTMC's, which were withdrawn in 2019: nothing is downloaded, only a copy that
    you already have is read.

    Layout:

        P-DukeMTMC-reid/
          train/  occluded_body_images/<identity>/*.jpg   whole_body_images/<identity>/*.jpg
          test/   occluded_body_images/<identity>/*.jpg   whole_body_images/<identity>/*.jpg

    Training takes both folders; the query is test/occluded, the gallery test/whole. Identities
    are the folders' names and are numbered separately in train and test. No camera is recorded:
    occluded is camera 0, whole is camera 1.

    Counts (identities / images), without a source of their own and therefore only warned of: train
    665 / 12,927, query 634 / 2,163, gallery 634 / 9,053.

    Citation: J. Zhuo, Z. Chen, J. Lai, G. Wang. Occluded Person Re-identification. ICME 2018
    (arXiv 1804.02792). The images: see DukeMTMCReID.
    """

    name = "p_dukemtmc_reid"
    ONE_NUMBERING = False
    PUBLISHED = {
        "": {
            "train": Counts(665, 12927, certain=False),
            "query": Counts(634, 2163, certain=False),
            "gallery": Counts(634, 9053, certain=False),
        }
    }

    @classmethod
    def scan(cls, source: Source) -> Listing:
        root = source.folder
        return {
            "train": [*_entries(root, "train", OCCLUDED), *_entries(root, "train", WHOLE)],
            "query": list(_entries(root, "test", OCCLUDED)),
            "gallery": list(_entries(root, "test", WHOLE)),
        }


def _entries(root: Path, half: str, kind: str) -> Iterator[Entry]:
    for path in images_of_people(folder_in(folder_in(root, half), kind)):
        if not path.parent.name.isdecimal():
            raise DataError(f"{path.parent}: the folder's name is not the number of an identity")
        yield Entry(path, relative(path, root), int(path.parent.name), CAMERA_OF[kind])
