"""Market-1501, with or without the 500,000 further distractors."""

from data.builder import Counts, MarketBuilder
from data.dataset_spec import DatasetSpec
from data.listing import Listing, folder_in, images_in, parse
from dpeformer_jax.base.errors import UserError

DISTRACTOR = 0
TRAIN, QUERY = Counts(751, 12936, 6), Counts(750, 3368, 6)


class Market1501(MarketBuilder):
    """Market-1501: six cameras before a supermarket, boxes of a detector.

    Source: https://zheng-lab-anu.github.io (L. Zheng). For research; its readme.txt forbids
    distribution and commercial use. The 500,000 distractors come in a separate archive, which
    unpacks to `images/`.

    Layout:

        Market-1501-v15.09.15/
          bounding_box_train/   0002_c1s1_000451_03.jpg ...
          query/                0001_c1s1_001051_00.jpg ...
          bounding_box_test/    0000_c1s1_000151_01.jpg -1_c1s1_000401_03.jpg ...
          images/               the distractors, for the variant "500k" only
          gt_bbox/ gt_query/ readme.txt Thumbs.db     not read

    Identity 0 is a distractor and stays in the gallery; identity -1 is junk and is left out. One
    published file name ends in `.jpg.jpg`.

    Counts (identities / images / cameras): train 751 / 12,936 / 6, query 750 / 3,368 / 6, gallery
    751 with identity 0 / 15,913 / 6 (the folder holds 19,732: 3,819 are junk), with distractors
    515,913.

    Citation: L. Zheng, L. Shen, L. Tian, S. Wang, J. Wang, Q. Tian. Scalable Person
    Re-identification: A Benchmark. ICCV 2015.
    """

    name = "market1501"
    PATTERN = r"(-1|\d{4})_c(\d)"
    CAMERAS = range(1, 7)
    VARIANTS = ("", "500k")
    PUBLISHED = {
        "": {"train": TRAIN, "query": QUERY, "gallery": Counts(751, 15913, 6)},
        "500k": {"train": TRAIN, "query": QUERY, "gallery": Counts(751, 515913, 6)},
    }

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        splits = super().scan(spec)
        if cls.variant_of(spec) == "500k":
            files = images_in(folder_in(spec.folder, "images"))
            distractors = parse(files, spec.folder, cls.PATTERN, cls.CAMERAS)
            for entry in distractors:
                if entry.identity != DISTRACTOR:
                    raise UserError(
                        f"{entry.path} is among the distractors, but its name gives identity "
                        f"{entry.identity}; distractors are 0000_c..."
                    )
            splits["gallery"] += distractors
        return splits
