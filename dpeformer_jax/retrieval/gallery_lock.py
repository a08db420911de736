"""One writer at a time for a gallery in a folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.retrieval.gallery_engine import filelock
from dpeformer_jax.retrieval.gallery_table import explained

NAME = ".writer.lock"


class WriterLock:
    """A lock in the folder, which the system frees when its process ends, however it ends.

    In an object store there is no such lock: there each change is one atomic commit of LanceDB.
    """

    def __init__(self, where: str, local: bool):
        self._where = where
        self._lock = filelock.FileLock(Path(where) / NAME, timeout=0) if local else None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the lock; may be nested.

        Raises:
            UserError: another process holds it, or the folder cannot be written to.
        """
        if self._lock is None:
            yield
            return
        with explained(self._where):
            try:
                self._lock.acquire()
            except filelock.Timeout as error:
                raise UserError(
                    f"another process writes to {self._where}; wait until it has ended"
                ) from error
        try:
            yield
        finally:
            self._lock.release()
