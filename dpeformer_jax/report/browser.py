"""The queries of a page, ready for templates/report.js: failures first, each with its pictures."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dpeformer_jax.base.interfaces import LabelledImages, TestSet
from dpeformer_jax.base.pictures import Source
from dpeformer_jax.features import Features
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.report.thumbnails import Thumbnails
from dpeformer_jax.retrieval.answers import NONE, Answers
from dpeformer_jax.retrieval.metrics import Ranking
from dpeformer_jax.retrieval.verdict import Judge

SHOWN = 8  # answers of a failure; of another query HIT
HIT = 4


@dataclasses.dataclass(frozen=True)
class View:
    """The queries of one test set as the network saw them, and what it answered.

    label: such as "as taken"; picture: of the query at a place.
    query, gallery: the compared features, [Q, F] and [G, F] by name.
    kept, kept_gallery: [Q, N] and [G, N] bool, None where the network chooses no patches.
    answers, ranking, nearest: see configs/rank_pictures.py.
    others: how other runs rank the same queries, by their names.
    """

    test: TestSet
    label: str
    picture: Callable[[int], Source]
    query: Features
    gallery: Features
    kept: np.ndarray | None
    kept_gallery: np.ndarray | None
    answers: Answers
    ranking: Ranking
    nearest: np.ndarray
    others: Mapping[str, Ranking]


def browser(
    views: Sequence[View],
    spec: NetworkSpec,
    judge: Judge,
    pieces: Callable[[Features, Features], dict[str, float]],
    budget: int,
) -> dict[str, Any]:
    """Returns what report.js shows, ready for JSON.

    Args:
        spec: of the network, for its patches.
        judge: of distances.
        pieces: from two pictures' features [F] by name to what each piece adds to their distance.
        budget: bytes that the pictures may take. Failures get theirs first.
    """
    thumbnails = Thumbnails(budget)
    order = [(view, row) for view in views for row in np.flatnonzero(view.ranking.used)]
    order.sort(key=lambda one: _first_shown(*one))
    queries = [_query(views, view, int(row), thumbnails, judge, pieces) for view, row in order]
    height, width = spec.image_size
    rows, columns = spec.grid
    return {
        "sets": list(dict.fromkeys(view.test.name for view in views)),
        "views": list(dict.fromkeys(view.label for view in views)),
        "runs": list(views[0].others),
        "grid": {
            **{"rows": rows, "columns": columns, "stride": spec.stride},
            **{"patch": VARIANTS[spec.variant].patch, "height": height, "width": width},
        },
        "queries": queries,
        "pictures": thumbnails.images,
        "full": thumbnails.full,
    }


def _first_shown(view: View, row: int) -> tuple[bool, float]:
    return bool(view.ranking.first[row] == 1), float(view.ranking.precision[row])


def _query(
    views: Sequence[View],
    view: View,
    row: int,
    thumbnails: Thumbnails,
    judge: Judge,
    pieces: Callable[[Features, Features], dict[str, float]],
) -> dict[str, Any]:
    first = int(view.ranking.first[row])
    places, distances, right = (x[row] for x in view.answers)
    shown = int((places != NONE).sum())
    answers = [
        _answer(view, int(places[rank]), thumbnails)
        | {
            "rank": rank + 1,
            "distance": round(float(distances[rank]), 4),
            "right": bool(right[rank]),
            "verdict": judge.verdict(float(distances[rank])),
        }
        for rank in range(min(shown, HIT if first == 1 else SHOWN))
    ]
    told = {
        "set": list(dict.fromkeys(v.test.name for v in views)).index(view.test.name),
        "view": list(dict.fromkeys(v.label for v in views)).index(view.label),
        **_about(view.test.query, row),
        "picture": thumbnails.add((view.test.name, view.label, row), view.picture(row)),
        "kept": _bits(view.kept, row),
        "first": first,
        "precision": float(view.ranking.precision[row]),
        "others": [_ranks(ranking, row) for ranking in view.others.values()],
        "answers": answers,
    }
    pairs = []
    if not right[0]:
        pairs.append(_pair(view, row, int(places[0]), 1, "first wrong answer", pieces, judge))
    nearest = int(view.nearest[row])
    pairs.append(_pair(view, row, nearest, first, "first right answer", pieces, judge))
    if first > len(answers):
        judged = {name: pairs[-1][name] for name in ("rank", "distance", "verdict")}
        told["match"] = _answer(view, nearest, thumbnails) | judged
    return told | {"pairs": pairs}


def _answer(view: View, place: int, thumbnails: Thumbnails) -> dict[str, Any]:
    name = view.test.name, "gallery", place
    return {
        **_about(view.test.gallery, place),
        "picture": thumbnails.add(name, view.test.gallery.encoded(place)),
        "kept": _bits(view.kept_gallery, place),
    }


def _pair(
    view: View,
    row: int,
    place: int,
    rank: int,
    told: str,
    pieces: Callable[[Features, Features], dict[str, float]],
    judge: Judge,
) -> dict[str, Any]:
    sides = (
        {n: x[row] for n, x in view.query.items()},
        {n: x[place] for n, x in view.gallery.items()},
    )
    found = pieces(*sides)
    distance = sum(found.values())
    return {
        "told": told,
        "rank": rank,
        "distance": distance,
        "verdict": judge.verdict(distance),
        "pieces": {name: float(f"{value:.5g}") for name, value in found.items()},
    }


def _about(images: LabelledImages, place: int) -> dict[str, str]:
    return {
        "name": images.paths[place],
        "who": str(images.identity_names[place]),
        "camera": str(images.camera_names[images.camera_rows[place]][1]),
    }


def _bits(kept: np.ndarray | None, row: int) -> str | None:
    """Returns which patches were kept as hexadecimal digits, the first patch in the first bit."""
    return None if kept is None else np.packbits(kept[row]).tobytes().hex()


def _ranks(ranking: Ranking, row: int) -> list[float | None]:
    if np.isnan(ranking.precision[row]):
        return [None, None]
    return [int(ranking.first[row]), float(ranking.precision[row])]
