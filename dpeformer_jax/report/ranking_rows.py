"""Rows of a contact sheet that show rankings of a test set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dpeformer_jax.base.interfaces import LabelledImages, TestSet
from dpeformer_jax.pictures.contact_sheet import Row, Tile
from dpeformer_jax.retrieval.answers import NONE
from dpeformer_jax.retrieval.metrics import Ranking
from dpeformer_jax.retrieval.shown_ranking import ShownRanking
from dpeformer_jax.retrieval.verdict import Judge


def ranking_row(
    test: TestSet,
    places: Sequence[int],
    shown: ShownRanking,
    judge: Judge,
    row: int,
    title: str,
) -> Row:
    """Returns a query and its first answers, with distances, cameras and, if any, verdicts.

    Args:
        places: of the queries that were ranked, in the test set; row: which of them.
        judge: of distances; title: whose ranking it is.
    """
    found = zip(*(x[row] for x in shown.answers), strict=True)
    answers = [
        Tile(
            test.gallery.encoded(place),
            _caption(test.gallery, place, _judged(distance, judge)),
            bool(right),
        )
        for place, distance, right in found
        if place != NONE
    ]
    query = Tile(test.query.encoded(places[row]), _caption(test.query, places[row], "query"))
    return Row(query, answers, "no answer", f"{title}: {_told(shown.ranking, row)}")


def _told(ranking: Ranking, row: int) -> str:
    if np.isnan(ranking.precision[row]):
        return "no match in the gallery"
    first, precision = int(ranking.first[row]), 100 * ranking.precision[row]
    return f"first match at rank {first}, average precision {precision:.1f} %"


def _judged(distance: float, judge: Judge) -> str:
    verdict = judge.verdict(distance)
    return f"{distance:.3f}" if verdict is None else f"{distance:.3f} {verdict}"


def _caption(images: LabelledImages, place: int, head: str) -> tuple[str, ...]:
    camera = images.camera_names[images.camera_rows[place]][1]
    return head, f"{images.identity_names[place]}, cam {camera}", Path(images.paths[place]).name
