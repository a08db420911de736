"""Partial-iLIDS: test only."""

from data.builder import Counts, FolderBuilder
from data.dataset_spec import DatasetSpec
from data.listing import Listing, cameraless_layout

FOLDERS = {"query": "Probe", "gallery": "Gallery"}


class PartialILIDS(FolderBuilder):
    """Partial-iLIDS: 119 people in an airport, one partial and one whole picture each.

    Source: pictures of i-LIDS, whose footage belongs to the UK Home Office and is restricted; L. He
    and others give the selection on request.

    Layout:

        Partial_iLIDS/
          Probe/     1.jpg 2.jpg ...     the query
          Gallery/   1.jpg 2.jpg ...

    The identity is the number at the start of the base name; `1.jpg` and `001.jpg` are one person.
    No camera is recorded: the query is camera 0, the gallery camera 1.

    Counts (identities / images): query 119 / 119, gallery 119 / 119.

    Citation: L. He, J. Liang, H. Li, Z. Sun. Deep Spatial Feature Reconstruction for Partial
    Person Re-identification: Alignment-free Approach. CVPR 2018. W.-S. Zheng, S. Gong, T. Xiang.
    Person Re-identification by Probabilistic Relative Distance Comparison. CVPR 2011.
    """

    name = "partial_ilids"
    PUBLISHED = {"": {"query": Counts(119, 119), "gallery": Counts(119, 119)}}

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        return cameraless_layout(spec.folder, FOLDERS)
