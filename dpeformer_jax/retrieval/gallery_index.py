"""Approximate indexes of a gallery: faster searches, whose recall is measured and stored."""

import math
from typing import Any, NamedTuple

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.retrieval.gallery_engine import lancedb, pa
from dpeformer_jax.retrieval.gallery_table import only_row

TABLE = "approximate_index"  # holds Approximate, beside the gallery
KINDS = ("ivf", "hnsw")
FEWEST = 1000  # rows; below, a search of all of them is faster
SAMPLE, TOP = 100, 10  # queries that measure the recall, and the nearest that are asked for
RECALL = 0.95  # that is aimed at
CANDIDATES = 200  # that a search in an HNSW graph keeps on its way


class Approximate(NamedTuple):
    """An index that stands beside the rows.

    kind: one of KINDS; probes: partitions that a search looks into, of all `partitions`; recall:
    the share of the TOP nearest that such searches found, of SAMPLE enrolled pictures.
    """

    kind: str
    partitions: int
    probes: int
    recall: float


def build(database: Any, table: Any, kind: str) -> Approximate:
    """Builds an index in place of any other, and measures which part of it must be looked into.

    Raises:
        UserError: `kind` is unknown, or there are too few rows.
    """
    rows = table.count_rows()
    if kind not in KINDS:
        raise UserError(f"kind {kind!r} is not one of {', '.join(KINDS)}")
    if rows < FEWEST:
        raise UserError(
            f"{rows} pictures need no approximate index, which helps from {FEWEST} on; search "
            "without --approximate"
        )
    drop(database, table)
    partitions = max(1, round(math.sqrt(rows)) if kind == "ivf" else rows // 100_000)
    config = {"ivf": lancedb.index.IvfFlat, "hnsw": lancedb.index.HnswFlat}[kind]
    table.create_index("vector", config=config(distance_type="l2", num_partitions=partitions))
    found = _measured(table, kind, partitions)
    database.create_table(TABLE, pa.Table.from_pylist([found._asdict()]))
    return found


def current(database: Any) -> Approximate | None:
    """Returns the index that there is, if there is one."""
    row = only_row(database, TABLE)
    return None if row is None else Approximate(**row)


def drop(database: Any, table: Any) -> None:
    """Removes the index, if there is one."""
    if TABLE in database.list_tables().tables:
        database.drop_table(TABLE)
    for index in table.list_indices():
        table.drop_index(index.name)


def narrowed(query: Any, index: Approximate) -> Any:
    """Makes a search of the engine use the index."""
    query = query.nprobes(index.probes)
    return query.ef(CANDIDATES) if index.kind == "hnsw" else query


def _measured(table: Any, kind: str, partitions: int) -> Approximate:
    """Looks into twice as many partitions until the recall is RECALL, or into all of them."""
    queries = _sample(table)
    exact = _nearest(table.search(queries).bypass_vector_index())
    probes = min(8, partitions)
    while True:
        index = Approximate(kind, partitions, probes, 0.0)
        found = _nearest(narrowed(table.search(queries), index))
        shared = sum(len(own & other) for own, other in zip(exact, found, strict=True))
        recall = shared / sum(map(len, exact))
        if recall >= RECALL or probes == partitions:
            return index._replace(recall=recall)
        probes = min(2 * probes, partitions)


def _sample(table: Any) -> np.ndarray:
    """Returns the features of SAMPLE rows, spread evenly."""
    step = max(1, table.count_rows() // SAMPLE)
    rows = [
        table.search().select(["vector"]).offset(place * step).limit(1).to_arrow()
        for place in range(SAMPLE)
    ]
    return np.stack([row["vector"].to_pylist()[0] for row in rows]).astype(np.float32)


def _nearest(query: Any) -> list[set[str]]:
    """Returns the paths of the TOP nearest of each query, without the query's own."""
    found = query.select(["path", "_distance"]).limit(TOP + 1).to_arrow().to_pylist()
    nearest: list[list[str]] = [[] for _ in range(SAMPLE)]
    for row in sorted(found, key=lambda row: row["_distance"]):
        nearest[row["query_index"]].append(row["path"])
    return [set(paths[1:]) for paths in nearest]
