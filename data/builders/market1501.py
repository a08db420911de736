"""Market-1501, and with 500,000 distractors."""

from data.builder import Counts, FolderBuilder
from data.errors import DataError
from data.listing import JUNK, Entry, Listing, folder_in, images_in, market_layout, parse
from data.source import Source

PATTERN = r"(-1|\d{4})_c(\d)"
CAMERAS = range(1, 7)
DISTRACTOR = 0
TRAIN, QUERY = Counts(751, 12936, 6), Counts(750, 3368, 6)


class Market1501(FolderBuilder):
    """Market-1501: six cameras before a supermarket; boxes of a detector.

    Source: https://zheng-lab-anu.github.io (L. Zheng). For research; its readme.txt forbids
    distribution and commercial use. The 500,000 distractors are an archive of their own, which
    unpacks to `images/`.

    Layout:

        Market-1501-v15.09.15/
          bounding_box_train/   0002_c1s1_000451_03.jpg ...
          query/                0001_c1s1_001051_00.jpg ...
          bounding_box_test/    0000_c1s1_000151_01.jpg -1_c1s1_000401_03.jpg ...
          images/               the distractors, for the variant "500k" only
          gt_bbox/ gt_query/ readme.txt Thumbs.db     not read

    Identity 0 is a distractor and stays in the gallery, -1 is junk and is left out. One file name
    of the published set ends in `.jpg.jpg`.

    Counts (identities / images / cameras): train 751 / 12,936 / 6, query 750 / 3,368 / 6, gallery
    751 with identity 0 / 15,913 / 6 (the folder holds 19,732: 3,819 are junk), with distractors
    515,913.

    Citation: L. Zheng, L. Shen, L. Tian, S. Wang, J. Wang, Q. Tian. Scalable Person
    Re-identification: A Benchmark. ICCV 2015.
    """

    name = "market1501"
    VARIANTS = ("", "500k")
    PUBLISHED = {
        "": {"train": TRAIN, "query": QUERY, "gallery": Counts(751, 15913, 6)},
        "500k": {"train": TRAIN, "query": QUERY, "gallery": Counts(751, 515913, 6)},
    }

    @classmethod
    def scan(cls, source: Source) -> Listing:
        splits = market_layout(source.folder, PATTERN, CAMERAS)
        if cls.variant_of(source) == "500k":
            splits["gallery"] += _distractors(source)
        return splits


def _distractors(source: Source) -> list[Entry]:
    files = images_in(folder_in(source.folder, "images"))
    entries = parse(files, source.folder, PATTERN, CAMERAS)
    entries = [entry for entry in entries if entry.identity != JUNK]
    for entry in entries:
        if entry.identity != DISTRACTOR:
            raise DataError(
                f"{entry.path} is among the distractors, but its name gives identity "
                f"{entry.identity}; distractors are 0000_c..."
            )
    return entries
