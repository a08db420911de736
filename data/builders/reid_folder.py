"""Any folder in the layout of Market-1501."""

import re

from data.builder import FolderBuilder
from data.listing import Listing, market_layout
from data.source import Source


class ReidFolder(FolderBuilder):
    """A folder of your own in the layout of Market-1501.

    Layout, with names that `config.data.pattern` reads (identity -1 is junk and left out,
    identity 0 a distractor):

        FOLDER/
          bounding_box_train/   0001_c1_0001.jpg ...
          query/                0501_c1_0003.jpg ...
          bounding_box_test/    0501_c2_0009.jpg ...
    """

    @classmethod
    def title(cls, source: Source) -> str:
        return re.sub(r"\W", "_", source.folder.name)

    @classmethod
    def scan(cls, source: Source) -> Listing:
        return market_layout(source.folder, source.pattern)
