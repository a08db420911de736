"""Partial-REID: test only."""

from data.builder import Counts, FolderBuilder
from data.dataset_spec import DatasetSpec
from data.listing import Listing, cameraless_layout

COUNTS = {"query": Counts(60, 300), "gallery": Counts(60, 300)}


class PartialREID(FolderBuilder):
    """Partial-REID: 60 people on a campus, five partial, five occluded, five whole pictures each.

    Source: W.-S. Zheng's group, Sun Yat-sen University; no licence is published with it.

    Layout:

        Partial-REID_Dataset/
          partial_body_images/    001_001.jpg ...     the query
          occluded_body_images/   001_001.jpg ...     the query of the variant "occluded"
          whole_body_images/      001_001.jpg ...     the gallery

    The literature gives one name to two query sets: most papers use partial_body_images (the
    default), some use occluded_body_images. The identity is the number before the first `_`. No
    camera is recorded: the query is camera 0, the gallery camera 1. (Some programs read the
    picture's number as its camera, which removes a fifth of the matches.)

    Counts (identities / images): query 60 / 300, gallery 60 / 300.

    Citation: W.-S. Zheng, X. Li, T. Xiang, S. Liao, J. Lai, S. Gong. Partial Person
    Re-identification. ICCV 2015.
    """

    name = "partial_reid"
    VARIANTS = ("partial", "occluded")
    PUBLISHED = {"partial": COUNTS, "occluded": COUNTS}

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        query = f"{cls.variant_of(spec)}_body_images"
        return cameraless_layout(spec.folder, {"query": query, "gallery": "whole_body_images"})
