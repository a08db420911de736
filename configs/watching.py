"""What TensorBoard shows of a network on its way: scores, rankings of fixed queries, patches."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from configs import unpack
from dpeformer_jax.base.interfaces import LabelledImages, TestSet
from dpeformer_jax.base.subset import Subset
from dpeformer_jax.features import SELECTED, Features, best_of
from dpeformer_jax.model.families import outputs_of
from dpeformer_jax.pictures.contact_sheet import Row, Tile, draw_sheet
from dpeformer_jax.pictures.kept_patches import with_kept
from dpeformer_jax.report.ranking_rows import ranking_row
from dpeformer_jax.retrieval.compared_features import compared_features
from dpeformer_jax.retrieval.distances import targets_of
from dpeformer_jax.retrieval.report import Evaluation
from dpeformer_jax.retrieval.shown_ranking import shown_ranking
from dpeformer_jax.retrieval.verdict import Judge
from dpeformer_jax.runtime.processes import is_first
from dpeformer_jax.training.experiment import Experiment
from dpeformer_jax.training.watching import Watch, Watched, scores_of

QUERIES, TOP = 6, 10


def watch_of(
    config: ConfigDict,
    experiment: Experiment,
    tests: Sequence[TestSet],
    scored: Callable[[Any, int], Evaluation],
) -> Watch:
    """Returns what looks at a training network every config.eval.every epochs.

    scored: fn(variables, step).
    """
    rng = np.random.default_rng(config.seed)
    fixed = [np.sort(rng.permutation(len(test.query))[:QUERIES]) for test in tests]

    def look(variables: Any, step: int) -> Watched:
        pictures = {}
        for test, places in zip(tests, fixed, strict=True):
            told = _pictures(config, experiment, variables, test, places)
            pictures |= {f"{kind}/{test.name}": drawn for kind, drawn in told}
        return Watched(scores_of(scored(variables, step).report), pictures)

    return Watch(config.eval.every, look)


def _pictures(
    config: ConfigDict, experiment: Experiment, variables: Any, test: TestSet, places: np.ndarray
) -> Iterator[tuple[str, Image.Image]]:
    """Yields pictures by their kinds; in other processes than the first, none."""
    scoring, spec = unpack.scoring_of(config), experiment.spec
    outputs = outputs_of(spec)
    target = best_of(outputs.features)
    members = targets_of(outputs.features)[target]
    chosen = [] if outputs.selection is None else [SELECTED]

    def features(images: LabelledImages, names: Sequence[str], **asked: Any) -> Features:
        runs = experiment.features, variables, spec
        return compared_features(*runs, images, names, scoring, **asked, title="watching")

    query = features(test.query, (*members, *chosen), places=places)
    kept = query.pop(SELECTED, None)
    gallery = features(test.gallery, members)
    if not is_first():
        return
    shown = shown_ranking(test, query, gallery, scoring, TOP, places)
    sides = test, places, shown, Judge()
    rows = [ranking_row(*sides, row, target) for row in range(len(places))]
    yield "rankings", draw_sheet(rows)
    if kept is not None:
        (pixels,) = Subset(test.query, places).batches(np.arange(len(places))[None])
        yield "patches", draw_sheet([_overlays(pixels, kept, spec)])


def _overlays(pixels: np.ndarray, kept: np.ndarray, spec: Any) -> Row:
    tiles = [
        Tile(with_kept(picture, own, spec), (f"{own.sum()} of {len(own)}",))
        for picture, own in zip(pixels, kept, strict=True)
    ]
    return Row(tiles[0], tiles[1:], "", "kept patches of the queries")
