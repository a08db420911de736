"""The pieces of an extraction on disk, from which an interrupted one goes on."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from dpeformer_jax.base.atomic_write import atomic_write, write_text
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.extraction.feature_file import form_of
from dpeformer_jax.extraction.items import Item
from dpeformer_jax.extraction.rows import About, Rows

SETTINGS = "settings.json"


def errors_in(form: ModuleType, piece: Path | BinaryIO, items: Sequence[Item]) -> np.ndarray | None:
    """Returns the errors [n] that a piece tells; None where it is of other pictures or damaged."""
    try:
        if form.read_column(piece, "path").tolist() != [item.path for item in items]:
            return None
        return form.read_column(piece, "error")
    except UserError:
        return None


class Parts:
    """A folder beside the target, TARGET.parts, with one file a piece: there whole or not at all.

    The folder says which network and features its pieces are of.
    """

    def __init__(self, target: Path, about: About):
        """Takes up the folder, or makes it.

        Raises:
            UserError: it holds pieces of another network or of other features, or cannot be made.
        """
        self._target, self._about, self._form = target, about, form_of(target)
        self._folder = target.with_name(f"{target.name}.parts")
        settings = self._folder / SETTINGS
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{target} cannot be written: {error}") from error
        if settings.exists() and settings.read_text() != about.to_json():
            raise UserError(
                f"{self._folder} holds an unfinished extraction by another network or of other "
                f"features; remove the folder, or choose another name than {target}"
            )
        write_text(settings, about.to_json())

    def write(self, number: int, rows: Rows) -> None:
        """Writes a piece."""
        with atomic_write(self._path(number)) as partial:
            self._form.write(partial, rows, self._about)

    def errors(self, number: int, items: Sequence[Item]) -> np.ndarray | None:
        """Returns the errors [n] of a piece that holds these pictures; None where there is none."""
        path = self._path(number)
        return errors_in(self._form, path, items) if path.exists() else None

    def join(self, count: int) -> None:
        """Writes the target from the first pieces, whole or not at all, and removes the folder."""
        with atomic_write(self._target) as partial:
            self._form.join([self._path(number) for number in range(count)], partial)
        shutil.rmtree(self._folder)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:07}{self._target.suffix}"
