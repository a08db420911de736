"""Partial-REID: test only."""

from data.builder import Counts, FolderBuilder
from data.listing import Listing, cameraless_layout
from data.source import Source

COUNTS = {"query": Counts(60, 300), "gallery": Counts(60, 300)}


class PartialREID(FolderBuilder):
    """Partial-REID: 60 people on a campus, five partial, five occluded, five whole pictures each.

    Source: W.-S. Zheng's group, Sun Yat-sen University; no licence is published with it.

    Layout:

        Partial-REID_Dataset/
          partial_body_images/    001_001.jpg ...     the query
          occluded_body_images/   001_001.jpg ...     the query of the variant "occluded"
          whole_body_images/      001_001.jpg ...     the gallery

    Two different query sets go by the same name in the literature: most papers take
    partial_body_images (the default), some take occluded_body_images. The identity is the number
    before the first `_`. No camera is recorded: the query is camera 0, the gallery camera 1. (Some
    programs read the picture's number as its camera, which removes a fifth of the matches.)

    Counts (identities / images): query 60 / 300, gallery 60 / 300.

    Citation: W.-S. Zheng, X. Li, T. Xiang, S. Liao, J. Lai, S. Gong. Partial Person
    Re-identification. ICCV 2015.
    """

    name = "partial_reid"
    VARIANTS = ("partial", "occluded")
    PUBLISHED = {"partial": COUNTS, "occluded": COUNTS}

    @classmethod
    def scan(cls, source: Source) -> Listing:
        query = f"{cls.variant_of(source)}_body_images"
        return cameraless_layout(source.folder, {"query": query, "gallery": "whole_body_images"})
