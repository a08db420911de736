"""The queries of a page, ready for templates/report.js: failures first, each with its pictures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dpeformer_jax.base.interfaces import LabelledImages, TestSet
from dpeformer_jax.base.pictures import Source
from dpeformer_jax.base.progress import progress
from dpeformer_jax.features import Features
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.report.thumbnails import Thumbnails
from dpeformer_jax.retrieval.answers import NONE
from dpeformer_jax.retrieval.metrics import Ranking
from dpeformer_jax.retrieval.shown_ranking import ShownRanking
from dpeformer_jax.retrieval.verdict import Judge

SHOWN = 8  # answers of a failure; of another query HIT
HIT = 4


class Seen(NamedTuple):
    """The queries of a test set as a network saw them, the gallery, and how it ranks that.

    query, gallery: the compared features, [Q, F] and [G, F] by name.
    kept, kept_gallery: [Q, N] and [G, N] bool, None where the network chooses no patches.
    """

    query: Features
    gallery: Features
    kept: np.ndarray | None
    kept_gallery: np.ndarray | None
    shown: ShownRanking


class View(NamedTuple):
    """One way to see the queries of a test set.

    label: such as "as taken"; picture: of the query at a place.
    others: how other runs rank the same queries, by their names; none where they saw none of it.
    """

    test: TestSet
    label: str
    picture: Callable[[int], Source]
    seen: Seen
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
    page = _Page(views, judge, pieces, Thumbnails(budget))
    order = [(view, row) for view in views for row in np.flatnonzero(view.seen.shown.ranking.used)]
    order.sort(key=lambda one: _first_shown(*one))
    shown = progress(order, title="drawing", unit="query")
    queries = [page.query(view, int(row)) for view, row in shown]
    height, width = spec.image_size
    rows, columns = spec.grid
    return {
        "sets": page.sets,
        "views": page.labels,
        "runs": list(views[0].others),
        "grid": {
            **{"rows": rows, "columns": columns, "stride": spec.stride},
            **{"patch": VARIANTS[spec.variant].patch, "height": height, "width": width},
        },
        "queries": queries,
        "gallery": page.gallery,
        "pictures": page.thumbnails.images,
        "full": page.thumbnails.full,
    }


def _first_shown(view: View, row: int) -> tuple[bool, float]:
    ranking = view.seen.shown.ranking
    return bool(ranking.first[row] == 1), float(ranking.precision[row])


class _Page:
    """Collects what queries show; gallery: each shown answer once."""

    def __init__(
        self,
        views: Sequence[View],
        judge: Judge,
        pieces: Callable[[Features, Features], dict[str, float]],
        thumbnails: Thumbnails,
    ):
        self.sets = list(dict.fromkeys(view.test.name for view in views))
        self.labels = list(dict.fromkeys(view.label for view in views))
        self.gallery: list[dict[str, Any]] = []
        self.thumbnails = thumbnails
        self._places: dict[tuple[str, int], int] = {}  # in the gallery
        self._judge, self._pieces = judge, pieces

    def query(self, view: View, row: int) -> dict[str, Any]:
        """Returns a query with its first answers and what their distances are made of."""
        found = view.seen.shown
        first, nearest = int(found.ranking.first[row]), int(found.nearest[row])
        places, distances, right = (x[row] for x in found.answers)
        shown = min(int((places != NONE).sum()), HIT if first == 1 else SHOWN)
        picture = (view.test.name, view.label, row), view.picture(row)
        told = {
            "set": self.sets.index(view.test.name),
            "view": self.labels.index(view.label),
            **_about(view.test.query, row),
            "picture": self.thumbnails.add(*picture),
            "kept": _bits(view.seen.kept, row),
            "first": first,
            "precision": float(found.ranking.precision[row]),
            "others": [_ranks(ranking, row) for ranking in view.others.values()],
            "answers": [
                self._answer(view, int(places[rank]), rank + 1, float(distances[rank]))
                | {"right": bool(right[rank])}
                for rank in range(shown)
            ],
        }
        pairs = [self._pair(view, row, nearest, first, "first right answer")]
        if not right[0]:
            pairs.insert(0, self._pair(view, row, int(places[0]), 1, "first wrong answer"))
        if first > shown:
            answer = self._answer(view, nearest, first, pairs[-1]["distance"])
            told["answers"].append(answer | {"right": True})
        return told | {"pairs": pairs}

    def _answer(self, view: View, place: int, rank: int, distance: float) -> dict[str, Any]:
        judged = {"distance": round(distance, 4), "verdict": self._judge.verdict(distance)}
        return {"image": self._image(view, place), "rank": rank, **judged}

    def _image(self, view: View, place: int) -> int:
        """Returns the place in the page's gallery of a gallery picture."""
        key = view.test.name, place
        if key not in self._places:
            self._places[key] = len(self.gallery)
            picture = (*key, "gallery"), view.test.gallery.encoded(place)
            told = {
                "picture": self.thumbnails.add(*picture),
                "kept": _bits(view.seen.kept_gallery, place),
            }
            self.gallery.append(_about(view.test.gallery, place) | told)
        return self._places[key]

    def _pair(self, view: View, row: int, place: int, rank: int, told: str) -> dict[str, Any]:
        one = {name: x[row] for name, x in view.seen.query.items()}
        other = {name: x[place] for name, x in view.seen.gallery.items()}
        found = self._pieces(one, other)
        distance = sum(found.values())
        return {
            **{"told": told, "rank": rank, "distance": distance},
            "verdict": self._judge.verdict(distance),
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
