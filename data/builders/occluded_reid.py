"""Occluded-REID: test only."""

from data.builder import Counts, FolderBuilder
from data.dataset_spec import DatasetSpec
from data.listing import Listing, cameraless_layout, images_of_people

FOLDERS = {"query": "occluded_body_images", "gallery": "whole_body_images"}


class OccludedREID(FolderBuilder):
    """Occluded-REID: 200 people before mobile cameras, five occluded and five whole pictures each.

    Source: https://github.com/tinajia2012/ICME2018_Occluded-Person-Reidentification_datasets. For
    academic use, not commercial.

    Layout:

        Occluded_REID/
          occluded_body_images/   001/001_01.tif ... 001_05.tif  002/ ...     the query
          whole_body_images/      001/001_01.tif ... 001_05.tif  002/ ...     the gallery

    The identity is the number before the first `_`. No camera is recorded: by the field's
    convention the query is camera 0 and the gallery camera 1. There is no training set; the field
    trains on Market-1501.

    Counts (identities / images): query 200 / 1,000, gallery 200 / 1,000.

    Citation: J. Zhuo, Z. Chen, J. Lai, G. Wang. Occluded Person Re-identification. ICME 2018
    (arXiv 1804.02792).
    """

    name = "occluded_reid"
    PUBLISHED = {"": {"query": Counts(200, 1000), "gallery": Counts(200, 1000)}}

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        return cameraless_layout(spec.folder, FOLDERS, images_of_people)
