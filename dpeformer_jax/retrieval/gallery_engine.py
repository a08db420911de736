"""What a gallery is built on; a missing package is told in one sentence."""

from dpeformer_jax.base.errors import UserError

try:
    import filelock
    import lancedb
    import lancedb.index
    import pyarrow as pa
except ModuleNotFoundError as error:
    raise UserError(
        f"a gallery needs {error.name}: pip install 'dpeformer_jax[gallery]'"
    ) from error

__all__ = ["filelock", "lancedb", "pa"]
