"""An extraction in an object store: a folder of Parquet files, as other programs read it."""

from collections.abc import Sequence

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.extraction import parquet_file
from dpeformer_jax.extraction.items import Item
from dpeformer_jax.extraction.object_store import located
from dpeformer_jax.extraction.parts import errors_in
from dpeformer_jax.extraction.rows import About, Rows

SETTINGS = "_settings.json"  # readers of Parquet pass over names that start with "_"


class StoredParts:
    """The pieces of an extraction, URL/0000000.parquet and so on, which stay as they are.

    The store puts a file whole or not at all. See Parts for the methods.
    """

    def __init__(self, url: str, about: About, anew: bool):
        """Takes up the folder, or makes it.

        Raises:
            UserError: it holds something else, pieces of another network or of other features, or
                cannot be used.
        """
        self._system, self._folder = located(url)
        self._about = about
        settings = f"{self._folder}/{SETTINGS}"
        try:
            if self._exists(self._folder) and not self._exists(settings):
                raise UserError(f"{url} holds something else than features; choose another name")
            if anew and self._exists(settings):
                self._system.delete_dir(self._folder)
            if self._exists(settings) and self._read(settings) != about.to_json():
                raise UserError(
                    f"{url} holds features of another network, or other features; choose another "
                    "name, or give --overwrite"
                )
            self._put(settings, about.to_json().encode())
        except OSError as error:
            raise UserError(f"{url} cannot be written: {error}") from error

    def write(self, number: int, rows: Rows) -> None:
        """Writes a piece."""
        with self._system.open_output_stream(self._path(number)) as file:
            parquet_file.write(file, rows, self._about)

    def errors(self, number: int, items: Sequence[Item]) -> np.ndarray | None:
        """Returns the errors [n] of a piece that holds these pictures; None where there is none."""
        path = self._path(number)
        if not self._exists(path):
            return None
        with self._system.open_input_file(path) as file:
            return errors_in(parquet_file, file, items)

    def join(self, count: int) -> None:
        """Removes what an earlier extraction of more pictures left beyond the first pieces."""
        while self._exists(self._path(count)):
            self._system.delete_file(self._path(count))
            count += 1

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:07}.parquet"

    def _exists(self, path: str) -> bool:
        (info,) = self._system.get_file_info([path])
        return info.type.name != "NotFound"

    def _read(self, path: str) -> str:
        with self._system.open_input_file(path) as file:
            return file.read().decode()

    def _put(self, path: str, content: bytes) -> None:
        with self._system.open_output_stream(path) as file:
            file.write(content)
