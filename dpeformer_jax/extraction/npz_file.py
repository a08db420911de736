"""Files of features as .npz: NumPy's archive of arrays, read and written a piece at a time."""

import contextlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.extraction.rows import About, Rows

ABOUT = "about"  # the member that holds About
PIECE = 4096  # rows


def write(path: Path, rows: Rows, about: About) -> None:
    """Writes the rows of one piece."""
    with path.open("wb") as file:
        np.savez(file, **{ABOUT: np.array(about.to_json())}, **rows)


def read_about(path: Path) -> About:
    """Reads what the file says of itself; raises UserError where it is none of ours."""
    with _opened(path) as archive:
        if f"{ABOUT}.npy" not in archive.namelist():
            raise UserError(f"{path} is no file of features; `dpeformer extract` writes one")
        return About.from_json(str(_whole(archive, ABOUT)), str(path))


def read_column(path: Path, name: str) -> np.ndarray:
    """Reads one column [n, ...]."""
    with _opened(path) as archive:
        return _whole(archive, name)


def pieces(path: Path) -> Iterator[Rows]:
    """Yields the rows, PIECE at a time."""
    with _opened(path) as archive, contextlib.ExitStack() as stack:
        columns = {
            name: _Column(stack.enter_context(archive.open(f"{name}.npy")))
            for name in _names(archive)
        }
        total = len(next(iter(columns.values())))
        for start in range(0, total, PIECE):
            count = min(PIECE, total - start)
            yield {name: column.read(count) for name, column in columns.items()}


def join(parts: Sequence[Path], target: Path) -> None:
    """Writes the pieces one below the other, holding one piece of one column at a time."""
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as joined,
        _opened(parts[0]) as first,
    ):
        with joined.open(f"{ABOUT}.npy", "w") as member:  # writestr would write the time too
            member.write(first.read(f"{ABOUT}.npy"))
        for name in _names(first):
            with joined.open(f"{name}.npy", "w", force_zip64=True) as member:
                _join_column(parts, name, member)


def _join_column(parts: Sequence[Path], name: str, member: IO[bytes]) -> None:
    shapes, dtypes = zip(*(_form(part, name) for part in parts), strict=True)
    dtype = np.result_type(*dtypes)  # of texts: the longest
    shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_2_0(member, header)
    for part in parts:
        member.write(np.ascontiguousarray(read_column(part, name), dtype).data.cast("B"))


def _form(part: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with _opened(part) as archive, archive.open(f"{name}.npy") as member:
        column = _Column(member)
        return column.shape, column.dtype


class _Column:
    """A member of the archive whose header is read; its rows follow."""

    def __init__(self, file: IO[bytes]):
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        self.shape, fortran, self.dtype = read(file)
        if self.dtype.hasobject or fortran:
            raise ValueError("a column holds Python objects, or is stored by columns")
        self._file = file

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, count: int) -> np.ndarray:
        shape = (count, *self.shape[1:])
        data = self._file.read(int(np.prod(shape)) * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype).reshape(shape)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is damaged or no file of features: {error}") from error


def _names(archive: zipfile.ZipFile) -> list[str]:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    return [name for name in names if name != ABOUT]


def _whole(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        return npy.read_array(member, allow_pickle=False)
