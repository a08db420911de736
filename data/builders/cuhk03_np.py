"""CUHK03 by the new protocol."""

from pathlib import Path

from data.builder import Counts, MarketBuilder
from data.dataset_spec import DatasetSpec
from data.listing import folder_in

QUERY = Counts(700, 1400)


class CUHK03NP(MarketBuilder):
    """CUHK03-NP: five pairs of cameras on a campus, split 767 / 700 identities.

    Source: CUHK03 of the Chinese University of Hong Kong, for research; the split and the packing
    are https://github.com/zhunzhong07/person-re-ranking.

    Layout; the variants show the same people, in boxes of a detector or in boxes drawn by hand:

        cuhk03-np/
          detected/  bounding_box_train/  query/  bounding_box_test/     0001_c1_1.png ...
          labeled/   bounding_box_train/  query/  bounding_box_test/     0001_c1_1.png ...

    Counts (identities / images / cameras): detected: train 767 / 7,365 / 2, query 700 / 1,400,
    gallery 700 / 5,332; labeled: train 767 / 7,368 / 2, query 700 / 1,400, gallery 700 / 5,328.

    Citation: W. Li, R. Zhao, T. Xiao, X. Wang. DeepReID: Deep Filter Pairing Neural Network for
    Person Re-identification. CVPR 2014. Z. Zhong, L. Zheng, D. Cao, S. Li. Re-ranking Person
    Re-identification with k-reciprocal Encoding. CVPR 2017.
    """

    name = "cuhk03_np"
    CAMERAS = range(1, 3)
    VARIANTS = ("detected", "labeled")
    PUBLISHED = {
        "detected": {"train": Counts(767, 7365, 2), "query": QUERY, "gallery": Counts(700, 5332)},
        "labeled": {"train": Counts(767, 7368, 2), "query": QUERY, "gallery": Counts(700, 5328)},
    }

    @classmethod
    def market_folder(cls, spec: DatasetSpec) -> Path:
        return folder_in(spec.folder, cls.variant_of(spec))
