"""Any folder in the layout of Market-1501."""

import re
from pathlib import Path

from data.builder import MarketBuilder
from data.dataset_spec import DatasetSpec
from data.listing import Listing, market_layout


class ReidFolder(MarketBuilder):
    """A folder of your own in the layout of Market-1501.

    Layout, with names that match `config.data.pattern` (identity -1 is junk and is left out,
    identity 0 is a distractor); without bounding_box_train the folder is for testing only:

        FOLDER/
          bounding_box_train/   0001_c1_0001.jpg ...
          query/                0501_c1_0003.jpg ...
          bounding_box_test/    0501_c2_0009.jpg ...
    """

    @classmethod
    def title(cls, spec: DatasetSpec) -> str:
        return re.sub(r"\W", "_", Path(spec.root).name)

    @classmethod
    def scan(cls, spec: DatasetSpec) -> Listing:
        return market_layout(spec.folder, spec.pattern)
