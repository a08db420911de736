"""What main.py's --mode=explain does: what a network looked at in queries and their answers."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from configs import unpack
from configs.chosen_queries import Wanted, chosen_queries
from configs.opened_network import OpenedNetwork, open_network
from configs.rank_pictures import RankedQueries, rankings, target_of
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.interfaces import LabelledImages, TestSet
from dpeformer_jax.base.progress import progress
from dpeformer_jax.explanation.contributions import contributions
from dpeformer_jax.explanation.explain import Explanation, explain_pixels
from dpeformer_jax.model.families import build_network
from dpeformer_jax.pictures.explanation_figure import draw_explanations, write_figure
from dpeformer_jax.retrieval.answers import NONE

LOG = logging.getLogger("configs.explain_pictures")


def run_explain(
    config: ConfigDict,
    workdir: Path,
    checkpoint: str | None,
    queries: str,
    features: Sequence[str],
) -> None:
    """Draws explain/DATA_SET/QUERY.png in the workdir for each wanted query of each test set.

    A figure explains the query, its first wrong answer before the first right one, and that one.

    Args:
        queries: see configs/chosen_queries.py.
        features: one, that answers are found by; () for the one that pictures are best compared by.
    """
    wanted = Wanted.parse(queries)
    if len(features) > 1:
        raise UserError(f"--features={','.join(features)}: --mode=explain takes one feature")
    network, scoring = open_network(config, workdir, checkpoint), unpack.scoring_of(config)
    if scoring.metric != "cosine" or config.eval.flip:
        raise UserError(
            "--mode=explain takes apart the distances of config.eval.metric = 'cosine' without "
            "config.eval.flip, and no other"
        )
    if network.spec.mixes_batch:
        raise UserError(
            "--mode=explain needs features that depend on their picture alone; those of the preset "
            "'released' depend on the others of a batch too"
        )
    for test in network.tests:
        feature = target_of(network, features)
        places = chosen_queries(wanted, test, feature, workdir, config.seed)
        (ranked,) = rankings("", network, test, places, [feature], scoring)
        folder = workdir / "explain" / test.name.replace("/", "_")
        for row in progress(range(len(places)), title="explaining", unit="query"):
            figure = _figure(network, test, places[row], ranked, row, feature)
            name = Path(test.query.paths[places[row]]).name
            folder.mkdir(parents=True, exist_ok=True)
            write_figure(folder / f"{name}.png", figure)
        LOG.info("%s explains %d queries of %s", folder, len(places), test.name)


def _figure(
    network: OpenedNetwork,
    test: TestSet,
    place: int,
    ranked: RankedQueries,
    row: int,
    feature: str,
) -> Figure:
    shown = {}  # by what is said of it: place in the gallery, rank
    first = int(ranked.shown.answers.places[row, 0])
    if first != NONE and not ranked.shown.answers.right[row, 0]:
        shown["first wrong answer"] = first, 1
    if ranked.shown.nearest[row] != NONE:
        rank = int(ranked.shown.ranking.first[row])
        shown["first right answer"] = int(ranked.shown.nearest[row]), rank
    found = [explained(network, test.query, place)]
    titles = [f"query {_name(test.query, place)}"]
    pairs = {}
    built = build_network(network.spec)
    members = network.targets[feature]
    for told, (answer, rank) in shown.items():
        found.append(explained(network, test.gallery, answer))
        titles.append(f"{told}, rank {rank}: {_name(test.gallery, answer)}")
        pieces = contributions(built, members, found[0].features, found[-1].features)
        verdict = ranked.judge.verdict(sum(pieces.values()))
        pairs[f"query and {told}" + (f", {verdict}" if verdict else "")] = pieces
    return draw_explanations(found, titles, pairs)


def explained(network: OpenedNetwork, images: LabelledImages, place: int) -> Explanation:
    """Explains the picture of a set at a place."""
    row = network.spec.rows_of(images.camera_names)[images.camera_rows[place]]
    (pixels,) = images.batches(np.array([[place]]))
    built = build_network(network.spec)
    (found,) = explain_pixels(built, network.variables, pixels, row[None])
    return found


def _name(images: LabelledImages, place: int) -> str:
    return f"{images.identity_names[place]} ({Path(images.paths[place]).name})"
