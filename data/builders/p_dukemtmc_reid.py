"""P-DukeMTMC-reID, from a copy that the user already has."""

from collections.abc import Iterator
from pathlib import Path

from data.builder import Counts, FolderBuilder
from data.dataset_spec import DatasetSpec
from data.listing import Entry, Listing, folder_in, folders_in, images_of_people
from dpeformer_jax.base.errors import UserError

OCCLUDED, WHOLE = "occluded_body_images", "whole_body_images"
CAMERA_OF = {OCCLUDED: 0, WHOLE: 1}


class PDukeMTMCReID(FolderBuilder):
    """P-DukeMTMC-reID: people of DukeMTMC who are seen both occluded and whole.

    Source: https://github.com/tinajia2012/ICME2018_Occluded-Person-Reidentification_datasets. The
    images are those of DukeMTMC, which were withdrawn in 2019. Nothing is downloaded; the builder
    reads a copy that you already have.

    Layout:

        P-DukeMTMC-reid/
          train/  occluded_body_images/<identity>/*.jpg   whole_body_images/<identity>/*.jpg
          test/   occluded_body_images/<identity>/*.jpg   whole_body_images/<identity>/*.jpg

    Training uses both folders; the query is test/occluded, the gallery test/whole. The folders'
    names are the identities; train and test number them separately. No camera is recorded:
    occluded is camera 0, whole is camera 1. Without the train folder the data set is for testing.

    Counts (identities / images), not published by the authors, so others are only warned of: train
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
    def scan(cls, spec: DatasetSpec) -> Listing:
        root, splits = spec.folder, {}
        halves = folders_in(root, {"train": "train", "test": "test"})
        if train := halves.get("train"):
            splits["train"] = [*_entries(root, train, OCCLUDED), *_entries(root, train, WHOLE)]
        splits["query"] = list(_entries(root, halves["test"], OCCLUDED))
        splits["gallery"] = list(_entries(root, halves["test"], WHOLE))
        return splits

    @classmethod
    def training_folder(cls, spec: DatasetSpec) -> Path:
        return spec.folder / "train"


def _entries(root: Path, half: Path, kind: str) -> Iterator[Entry]:
    for path in images_of_people(folder_in(half, kind)):
        if not path.parent.name.isdecimal():
            raise UserError(f"{path.parent}: the folder's name is not the number of an identity")
        name = path.relative_to(root).as_posix()
        yield Entry(path, name, int(path.parent.name), CAMERA_OF[kind])
