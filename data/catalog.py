"""Lists all data sets by the name that `config.data.builder` gives them."""

from data.builder import Counts, ReidBuilder
from data.builders.cameraless import OccludedREID, PartialILIDS, PartialREID
from data.builders.cuhk03_np import CUHK03NP
from data.builders.dukemtmc_reid import DukeMTMCReID
from data.builders.market1501 import Market1501
from data.builders.msmt17 import MSMT17
from data.builders.occluded_duke import OccludedDuke
from data.builders.p_dukemtmc_reid import PDukeMTMCReID
from data.builders.reid_csv import ReidCsv
from data.builders.reid_folder import ReidFolder
from data.builders.rendered_reid import RenderedReid
from data.dataset_spec import DatasetSpec
from dpeformer_jax.base.errors import UserError

OWN = RenderedReid, ReidFolder, ReidCsv
OCCLUDED = OccludedDuke, OccludedREID, PartialREID, PartialILIDS, PDukeMTMCReID
WHOLE = Market1501, DukeMTMCReID, MSMT17, CUHK03NP
BUILDERS: dict[str, type[ReidBuilder]] = {b.name: b for b in (*OWN, *OCCLUDED, *WHOLE)}


def builder_of(spec: DatasetSpec) -> type[ReidBuilder]:
    """Returns the builder class of a data set; raises UserError where no builder has the name."""
    if spec.builder not in BUILDERS:
        raise UserError(f"there is no data set {spec.builder!r}; there are {', '.join(BUILDERS)}")
    return BUILDERS[spec.builder]


def published_counts() -> dict[str, dict[str, Counts]]:
    """Returns the published counts of every data set and variant, by split."""
    return {
        f"{name}/{variant}" if variant else name: counts
        for name, builder in BUILDERS.items()
        for variant, counts in builder.PUBLISHED.items()
    }
