"""What the scores of a report are means of: one row for each data set, feature and query.

The rows of eval.json lie beside it in eval.per_query.parquet. The file names in its metadata the
report that it is of, and only rows of scores that stand in the report are read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.base.interfaces import LabelledImages
from dpeformer_jax.retrieval.metrics import Ranking

SCHEMA = pa.schema(
    [
        ("data_set", pa.string()),
        ("feature", pa.string()),
        ("query", pa.string()),  # path of the picture
        ("identity", pa.string()),  # and camera: as the data set says them
        ("camera", pa.string()),
        ("precision", pa.float64()),  # average precision; null where no match is left
        ("first_match", pa.int64()),  # its rank; null where no match is left
        ("kept_patches", pa.int64()),  # how many the network kept; null where it does not choose
    ]
)
REPORT = b"report"  # the metadata's key


def rows_of(
    data_set: str, feature: str, queries: LabelledImages, ranking: Ranking, kept: np.ndarray | None
) -> pa.Table:
    """Returns the rows of one data set and feature; kept: [Q] number of patches, or None."""
    count = len(queries.paths)
    columns = [
        pa.repeat(data_set, count),
        pa.repeat(feature, count),
        queries.paths,
        list(map(str, queries.identity_names)),
        [str(queries.camera_names[row][1]) for row in queries.camera_rows],
        pa.array(ranking.precision, from_pandas=True),  # NaN becomes null
        pa.array(ranking.first, from_pandas=True),
        pa.nulls(count) if kept is None else kept,
    ]
    return pa.table(columns, SCHEMA.names).cast(SCHEMA)


def beside(report_path: Path) -> Path:
    """Returns the path of a report's rows."""
    return report_path.with_suffix(".per_query.parquet")


def read_rows(report_path: Path, report: Mapping[str, Any]) -> pa.Table:
    """Reads the rows of a report's scores; none where they are missing, damaged or of others."""
    try:
        table = pq.read_table(beside(report_path))
        of = json.loads((table.schema.metadata or {})[REPORT])
    except (OSError, ValueError, KeyError):
        return SCHEMA.empty_table()
    if {**of, "datasets": None} != {**report, "datasets": None}:
        return SCHEMA.empty_table()
    same = [name for name, told in report["datasets"].items() if of["datasets"].get(name) == told]
    return table.filter(pc.is_in(table["data_set"], pa.array(same, pa.string())))


def write_rows(report_path: Path, report: Mapping[str, Any], table: pa.Table) -> None:
    """Writes the rows of a report, whole or not at all."""
    with atomic_write(beside(report_path)) as partial:
        pq.write_table(table.replace_schema_metadata({REPORT: json.dumps(report)}), partial)
