"""Files of features as Parquet, read and written a piece at a time.

A text or time that is not known is null, and so are the features of a picture that could not be
read.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.extraction.rows import About, Rows

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError as error:
    raise UserError(
        "Parquet needs pyarrow: pip install 'dpeformer_jax[gallery]'; a file named *.npz needs "
        "nothing"
    ) from error

ABOUT = b"dpeformer_jax"  # the key of About in the schema's metadata
PIECE = 4096  # rows


def write(where: Path | BinaryIO, rows: Rows, about: About) -> None:
    """Writes the rows of one piece; raises UserError where a name is not UTF-8."""
    try:
        table = pa.table({name: _to_arrow(rows, name) for name in rows})
    except UnicodeEncodeError as error:
        raise UserError(
            f"{error.object!r} is not UTF-8, which Parquet needs; rename the file, or write *.npz"
        ) from error
    pq.write_table(table.replace_schema_metadata({ABOUT: about.to_json()}), where)


def read_about(path: Path) -> About:
    """Reads what the file says of itself; raises UserError where it is none of ours."""
    told = (_schema(path).metadata or {}).get(ABOUT)
    if told is None:
        raise UserError(f"{path} is no file of features; `dpeformer extract` writes one")
    return About.from_json(told.decode(), str(path))


def read_column(where: Path | BinaryIO, name: str) -> np.ndarray:
    """Reads one column [n, ...]."""
    _schema(where)  # refuses a damaged file
    return _to_numpy(pq.read_table(where, columns=[name]).column(name).combine_chunks())


def pieces(path: Path) -> Iterator[Rows]:
    """Yields the rows, PIECE at a time."""
    _schema(path)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(PIECE):
            yield {name: _to_numpy(batch.column(name)) for name in batch.schema.names}


def join(parts: Sequence[Path], target: Path) -> None:
    """Writes the pieces one below the other, holding one at a time."""
    with pq.ParquetWriter(target, _schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part))


def _schema(where: Path | BinaryIO) -> Any:
    try:
        return pq.read_schema(where)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{where} is damaged or no file of features: {error}") from error


def _to_arrow(rows: Rows, name: str) -> Any:
    values = rows[name]
    if values.ndim == 2:
        flat = pa.array(np.ascontiguousarray(values).ravel())
        unread = pa.array(rows["error"] != "")
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=unread)
    if values.dtype.kind == "U":
        return pa.array([value or None for value in values.tolist()], pa.string())
    return pa.array(values, from_pandas=values.dtype.kind == "f")  # NaN becomes null


def _to_numpy(column: Any) -> np.ndarray:
    if pa.types.is_fixed_size_list(column.type):
        width = column.type.list_size
        values = np.full((len(column), width), np.nan, np.float32)
        present = column.is_valid().to_numpy(zero_copy_only=False)
        values[present] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        return values
    if pa.types.is_string(column.type):
        return np.array([value or "" for value in column.to_pylist()], np.str_)
    return column.to_numpy(zero_copy_only=False)
