"""Every data set there is, by the name that `config.data.builder` gives it."""

from data.builder import Counts, ReidBuilder
from data.builders.cuhk03_np import CUHK03NP
from data.builders.dukemtmc_reid import DukeMTMCReID
from data.builders.market1501 import Market1501
from data.builders.msmt17 import MSMT17
from data.builders.occluded_duke import OccludedDuke
from data.builders.occluded_reid import OccludedREID
from data.builders.p_dukemtmc_reid import PDukeMTMCReID
from data.builders.partial_ilids import PartialILIDS
from data.builders.partial_reid import PartialREID
from data.builders.reid_csv import ReidCsv
from data.builders.reid_folder import ReidFolder
from data.builders.rendered_reid import RenderedReid
from data.errors import DataError
from data.source import Source

BUILDERS: dict[str, type[ReidBuilder]] = {
    builder.name: builder
    for builder in (
        RenderedReid,
        ReidFolder,
        ReidCsv,
        Market1501,
        DukeMTMCReID,
        OccludedDuke,
        OccludedREID,
        PartialREID,
        PartialILIDS,
        PDukeMTMCReID,
        MSMT17,
        CUHK03NP,
    )
}


def builder_of(source: Source) -> type[ReidBuilder]:
    """The builder class of a data set.

    Raises:
        DataError: there is none of that name.
    """
    if source.builder not in BUILDERS:
        raise DataError(f"there is no data set {source.builder!r}; there are {', '.join(BUILDERS)}")
    return BUILDERS[source.builder]


def published_counts() -> dict[str, dict[str, Counts]]:
    """Published counts by split of every data set and variant."""
    return {
        f"{name}/{variant}" if variant else name: counts
        for name, builder in BUILDERS.items()
        for variant, counts in builder.PUBLISHED.items()
    }
