"""The forms of a file of features, by its name's end."""

from pathlib import Path
from types import ModuleType

from dpeformer_jax.base.errors import UserError

SUFFIXES = (".npz", ".parquet")


def form_of(path: Path) -> ModuleType:
    """Returns the module that writes, reads and joins files named so.

    Raises:
        UserError: the name ends with none of SUFFIXES, or the form's package is missing.
    """
    if path.suffix == ".npz":
        from dpeformer_jax.extraction import npz_file

        return npz_file
    if path.suffix == ".parquet":
        from dpeformer_jax.extraction import parquet_file

        return parquet_file
    raise UserError(f"{path}: features go to a file named *{' or *'.join(SUFFIXES)}")
