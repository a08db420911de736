"""What main.py's --mode=rank does: queries and their first answers, as papers show them."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from configs import unpack
from configs.chosen_queries import Wanted, chosen_queries
from configs.opened_network import OpenedNetwork, judge_of, open_another, open_network
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.interfaces import TestSet
from dpeformer_jax.features import best_of
from dpeformer_jax.pictures.contact_sheet import save_sheet
from dpeformer_jax.report.ranking_rows import ranking_row
from dpeformer_jax.retrieval.compared_features import compared_features
from dpeformer_jax.retrieval.scoring import Scoring
from dpeformer_jax.retrieval.shown_ranking import ShownRanking, shown_ranking
from dpeformer_jax.retrieval.verdict import Judge

TOP = 10
LOG = logging.getLogger("configs.rank_pictures")


class RankedQueries(NamedTuple):
    """How a network ranks the gallery for some queries by one of its features."""

    title: str
    shown: ShownRanking
    judge: Judge


def run_rank(
    config: ConfigDict,
    workdir: Path,
    checkpoint: str | None,
    queries: str,
    features: Sequence[str],
    others: Sequence[Path],
) -> None:
    """Draws rank.DATA_SET.png in the workdir for each test set.

    Args:
        queries: see configs/chosen_queries.py.
        features: of each network a row; () for the one that pictures are best compared by.
        others: workdirs whose rankings stand below the first's.
    """
    wanted = Wanted.parse(queries)
    networks = [open_network(config, workdir, checkpoint)]
    networks += [open_another(config, other) for other in others]
    names = [folder.absolute().name for folder in (workdir, *others)]
    scoring = unpack.scoring_of(config)
    first, *_ = [target_of(network, features) for network in networks]
    for place, test in enumerate(networks[0].tests):
        places = chosen_queries(wanted, test, first, workdir, config.seed)
        found = [
            ranked
            for name, network in zip(names, networks, strict=True)
            for ranked in rankings(name, network, network.tests[place], places, features, scoring)
        ]
        target = workdir / f"rank.{test.name.replace('/', '_')}.png"
        drawn = [
            ranking_row(test, places, ranked.shown, ranked.judge, row, ranked.title)
            for row in range(len(places))
            for ranked in found
        ]
        save_sheet(target, drawn)
        LOG.info("%s shows %d queries of %s", target, len(places), test.name)


def target_of(network: OpenedNetwork, features: Sequence[str]) -> str:
    """Returns the feature that comes first: the first named one, or the best of the network.

    Raises:
        UserError: the network lacks one of the features.
    """
    if unknown := [name for name in features if name not in network.targets]:
        raise UserError(
            f"--features: the {network.spec.family} network of {network.weights.folder} has no "
            f"{unknown[0]!r}; it has {', '.join(network.targets)}"
        )
    return features[0] if features else best_of(network.targets)


def rankings(
    title: str,
    network: OpenedNetwork,
    test: TestSet,
    places: np.ndarray,
    features: Sequence[str],
    scoring: Scoring,
) -> Iterator[RankedQueries]:
    """Yields the rankings of some queries by each of the features; () by the best one."""
    targets = network.targets
    chosen = features or [best_of(targets)]
    members = sorted({member for name in chosen for member in targets[name]})
    query = compared_features(*network.runs, test.query, members, scoring, places=places)
    gallery = compared_features(*network.runs, test.gallery, members, scoring)
    for name in chosen:
        sides = ({m: side[m] for m in targets[name]} for side in (query, gallery))
        shown = shown_ranking(test, *sides, scoring, TOP, places)
        yield RankedQueries(f"{title}, {name}", shown, judge_of(network, name, scoring))
