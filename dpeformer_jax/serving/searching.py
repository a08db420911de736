"""Who is it? Searches a gallery by pictures, or by a file of features."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.extraction.rows import Rows
from dpeformer_jax.features import unit_length
from dpeformer_jax.retrieval.gallery import Gallery, Hit
from dpeformer_jax.retrieval.gallery_filter import Filter
from dpeformer_jax.retrieval.verdict import Judge


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a search found for one query.

    query: its path; error: why it could not be read, or ""; hits: the nearest pictures, nearest
    first, without those beyond the threshold: none means that nobody was found.
    """

    query: str
    error: str
    hits: list[Hit]

    def to_json(self) -> dict[str, Any]:
        """Returns the answer as plain JSON values."""
        return dataclasses.asdict(self) | {"hits": [hit._asdict() for hit in self.hits]}


def search(
    gallery: Gallery,
    pieces: Iterable[Rows],
    *,
    top: int = 10,
    where: Filter | None = None,
    other_cameras: bool = False,
    judge: Judge | None = None,
    approximate: bool = False,
) -> Iterator[Answer]:
    """Yields the answer to each query, in order.

    Args:
        pieces: rows of queries, see extraction.pieces.
        top: hits a query at most.
        where: pictures that may be found.
        other_cameras: finds only pictures of cameras other than the query's own.
        judge: leaves out hits that are not of the same person by its threshold; None, and one
            without thresholds, leave out nothing.
        approximate: uses the gallery's approximate index.

    Raises:
        UserError: a query's camera is needed and not known, or the gallery cannot be searched.
    """
    where, limit = where or Filter(), np.inf
    if judge is not None and judge.accepts is not None:
        limit = judge.accepts.distance
    for rows in pieces:
        hits: list[list[Hit]] = [[] for _ in rows["path"]]
        for places, filtered in _groups(rows, where, other_cameras):
            features = unit_length(rows[gallery.feature][places])
            found = gallery.search(features, top, filtered, approximate=approximate)
            for place, own in zip(places, found, strict=True):
                hits[place] = [hit for hit in own if hit.distance <= limit]
        told = zip(rows["path"].tolist(), rows["error"].tolist(), hits, strict=True)
        yield from (Answer(*one) for one in told)


def _groups(rows: Rows, where: Filter, other_cameras: bool) -> Iterator[tuple[np.ndarray, Filter]]:
    """Yields places of queries that could be read, and the filter that they share."""
    read = rows["error"] == ""
    if not other_cameras:
        if read.any():
            yield np.flatnonzero(read), where
        return
    for camera in np.unique(rows["camera"][read]).tolist():
        if not camera:
            raise UserError(
                "--other-cameras needs the camera of each query; give --camera NAME, --names "
                "PATTERN or a table with the column camera"
            )
        own = dataclasses.replace(where, not_cameras=(*where.not_cameras, camera))
        yield np.flatnonzero(read & (rows["camera"] == camera)), own
