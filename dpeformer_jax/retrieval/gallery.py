"""A gallery of people on disk or in an object store: enrols, finds and forgets them.

The engine is LanceDB (docs/gallery.md says why).
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.places import is_url
from dpeformer_jax.retrieval import gallery_erasure, gallery_index
from dpeformer_jax.retrieval.gallery_engine import pa
from dpeformer_jax.retrieval.gallery_filter import Filter, listed
from dpeformer_jax.retrieval.gallery_index import Approximate
from dpeformer_jax.retrieval.gallery_lock import WriterLock
from dpeformer_jax.retrieval.gallery_table import (
    PEOPLE,
    VERSION,
    About,
    connect,
    exists,
    explained,
)

LOG = logging.getLogger(__name__)
QUERIES = 256  # that are searched for at once
LENGTH = 1e-3  # by which the length of a feature may differ from 1
COLUMNS = ["path", "identity", "camera", "time"]


class Hit(NamedTuple):
    """A picture that was found.

    distance: squared, of features at length 1, 0..4; time: seconds since 1970. What is not known is
    None.
    """

    path: str
    identity: str | None
    camera: str | None
    time: float | None
    distance: float


class Gallery:
    """Pictures of people with their features, made by one network.

    `where` is a folder, or a place in an object store such as s3://bucket/people.index, whose keys
    come from the usual environment variables. In a folder one process may write at a time and any
    number may read. In an object store each change is one atomic commit; nobody else may write
    there while something is forgotten.

    Attributes:
        network: fingerprint of the weights; feature: name of the feature; width: of it.
    """

    def __init__(self, where: str | Path):
        """Opens a gallery; use `open` or `create`."""
        self._where, local = str(where), not is_url(where)
        self._folder = Path(where) if local else None
        with explained(self._where):
            self._database = connect(self._where)
            self._table = self._database.open_table(PEOPLE)
            about = About.of(self._table.schema, self._where)
        self.network, self.feature, self.width = dataclasses.astuple(about)
        self._schema, self._lock = about.schema(), WriterLock(self._where, local)

    @staticmethod
    def exists(where: str | Path) -> bool:
        """Tells whether there is a gallery; raises UserError where there is something else."""
        return exists(str(where))

    @classmethod
    def create(cls, where: str | Path, *, network: str, feature: str, width: int) -> "Gallery":
        """Makes an empty gallery.

        Args:
            network: fingerprint of the weights, as Extractor.fingerprint; feature: name of their
                feature, as Extractor.feature; width: of it.

        Raises:
            UserError: there is something already, or it cannot be written.
        """
        if exists(str(where)):
            raise UserError(f"{where} exists already; open it, or choose another name")
        with explained(str(where)):
            connect(str(where)).create_table(PEOPLE, schema=About(network, feature, width).schema())
        return cls(where)

    @classmethod
    def open(cls, where: str | Path, *, network: str | None = None) -> "Gallery":
        """Opens a gallery.

        Args:
            network: fingerprint of the weights whose features are going to be added or searched
                for.

        Raises:
            UserError: there is none, it is of another network or of a newer version, or damaged.
        """
        if not exists(str(where)):
            raise UserError(f"{where} does not exist; `dpeformer index add` makes an index")
        gallery = cls(where)
        if network is not None and network != gallery.network:
            raise UserError(
                f"{where} was made by the network {gallery.network[:8]}, and this one is "
                f"{network[:8]}: their features cannot be compared; give that network's "
                "checkpoint, or enrol into another index"
            )
        return gallery

    def __len__(self) -> int:
        """Returns the number of pictures."""
        with explained(self._where):
            return self._table.count_rows()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keeps other processes from writing to a gallery in a folder.

        Raises:
            UserError: another process writes, or a removal was interrupted.
        """
        with self._lock.held():
            self._refuse_unfinished()
            yield

    def add(
        self,
        features: np.ndarray,
        paths: Sequence[str],
        *,
        identities: Sequence[str | None] | None = None,
        cameras: Sequence[str | None] | None = None,
        times: Sequence[float | None] | None = None,
    ) -> int:
        """Adds pictures in one commit; returns how many are new.

        A picture whose path is there already is passed over. When this returns, the pictures are
        on disk; if it is interrupted, none of them is found.

        Args:
            features: [M, F] float32 at length 1.
            paths: [M] names of the pictures.
            identities, cameras, times: [M] what is known of them, seconds since 1970; None where it
                is not.

        Raises:
            UserError: the features are of another form, or another process writes.
        """
        features = np.ascontiguousarray(features, np.float32)
        self._refuse_misfit(features, len(paths))
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), self.width)
        unknown: list[None] = [None] * len(paths)
        labels = [unknown if of is None else of for of in (identities, cameras, times)]
        columns = dict(zip(COLUMNS, map(list, (paths, *labels)), strict=True))
        first = {path: row for row, path in reversed([*enumerate(paths)])}
        rows = pa.table(columns | {"vector": vectors}, schema=self._schema)
        rows = rows.take(pa.array(sorted(first.values()), pa.int64()))
        with self.writing(), explained(self._where):
            merge = self._table.merge_insert("path").when_not_matched_insert_all()
            return merge.execute(rows).num_inserted_rows

    def search(
        self,
        features: np.ndarray,
        top: int = 10,
        where: Filter | None = None,
        *,
        approximate: bool = False,
    ) -> list[list[Hit]]:
        """Returns the nearest pictures of each query, nearest first.

        Args:
            features: [Q, F] float32 at length 1.
            top: pictures a query at most.
            where: pictures that may be found.
            approximate: uses the index that `build_index` made; its recall was measured then, of
                searches without conditions. One with conditions is exact all the same, since an
                index may miss most of the pictures that meet them.

        Raises:
            UserError: the features are of another form, there is no such index, or a removal was
                interrupted.
        """
        self._refuse_unfinished()
        index = self.approximate if approximate else None
        if approximate and index is None:
            raise UserError(
                f"{self._where} has no approximate index; `dpeformer index build` makes one"
            )
        vectors = np.asarray(features)
        self._refuse_misfit(vectors, len(vectors))
        condition = (where or Filter()).sql()
        index = index if condition is None else None
        hits: list[list[Hit]] = []
        for start in range(0, len(vectors), QUERIES):
            hits += self._nearest(vectors[start : start + QUERIES], top, condition, index)
        return hits

    def forget(self, *, identity: str | None = None, paths: Sequence[str] | None = None) -> int:
        """Removes a person, or pictures by their paths, for good; returns how many pictures.

        Afterwards no file of the gallery holds their features, names or paths. It writes all other
        rows anew, which takes up to three times the gallery's room on disk for a while. An
        approximate index is built again. After an interruption the same call, or
        `finish_forgetting`, ends what began. Where nobody is found it writes nothing, and removes
        what killed processes left behind.

        Raises:
            UserError: neither or both are given, or another process writes.
        """
        if (identity is None) == (paths is None):
            raise UserError("forget takes an identity, or paths")
        names = [identity] if paths is None else [*paths]
        condition = f"{'identity' if paths is None else 'path'} IN {listed(names)}"
        with self._lock.held(), explained(self._where):
            count = self._table.count_rows(condition) if names else 0
            if self.unfinished and not gallery_erasure.removed(self._database, self._table):
                LOG.warning(
                    "an earlier removal from %s was interrupted and may have removed nothing; "
                    "unless it is this one, give it again",
                    self._where,
                )
            if count:
                gallery_erasure.mark(self._database, self._table)
                self._table.delete(condition)
            if self.unfinished:
                self._purge()
            else:
                gallery_erasure.remove_leftovers(self._folder)
        return count

    def finish_forgetting(self) -> None:
        """Ends a removal that was interrupted; does nothing where there is none.

        Raises:
            UserError: another process writes, or the interruption came before anything was removed,
                or so late that this cannot be told.
        """
        with self._lock.held(), explained(self._where):
            if not self.unfinished:
                return
            removed = gallery_erasure.removed(self._database, self._table)
            self._purge()
        if not removed:
            raise UserError(
                f"the removal from {self._where} was interrupted before it removed anything, or "
                "just as it ended; give it again"
            )

    @property
    def unfinished(self) -> bool:
        """Whether a removal was interrupted."""
        with explained(self._where):
            return gallery_erasure.marked(self._database)

    @property
    def approximate(self) -> Approximate | None:
        """The approximate index, if there is one."""
        with explained(self._where):
            return gallery_index.current(self._database)

    def build_index(self, kind: str) -> Approximate:
        """Builds an approximate index and measures how many of the nearest it finds.

        kind: "ivf" or "hnsw". Pictures that are added later are searched exactly beside it.

        Raises:
            UserError: another process writes, or there are too few pictures.
        """
        with self.writing(), explained(self._where):
            return gallery_index.build(self._database, self._table, kind)

    def info(self) -> dict[str, Any]:
        """Returns, ready for JSON, what the gallery holds."""
        with explained(self._where):
            columns = self._table.search().select(["identity", "camera"])
            known = columns.limit(max(1, len(self))).to_arrow()
            index = self.approximate
            return {
                "rows": known.num_rows,
                "identities": len(known["identity"].drop_null().unique()),
                "cameras": len(known["camera"].drop_null().unique()),
                "network": self.network,
                "feature": self.feature,
                "width": self.width,
                "version": VERSION,
                "bytes": self._bytes(),
                "approximate": None if index is None else index._asdict(),
                "unfinished_removal": self.unfinished,
            }

    def _nearest(
        self, vectors: np.ndarray, top: int, condition: str | None, index: Approximate | None
    ) -> list[list[Hit]]:
        query = self._table.search(vectors).select([*COLUMNS, "_distance"]).limit(top)
        if condition is not None:
            query = query.where(condition, prefilter=True)
        if index is None:
            query = query.bypass_vector_index()
        else:
            query = gallery_index.narrowed(query, index)
        with explained(self._where):
            found = query.to_arrow().to_pylist()
        hits: list[list[Hit]] = [[] for _ in vectors]
        for row in found:
            told = [row[name] for name in (*COLUMNS, "_distance")]
            hits[row.get("query_index", 0)].append(Hit(*told))  # one query alone has no index
        return [sorted(own, key=lambda hit: hit.distance) for own in hits]

    def _refuse_misfit(self, features: np.ndarray, count: int) -> None:
        if features.shape != (count, self.width):
            raise UserError(
                f"features have shape {features.shape}, expected ({count}, {self.width}): the "
                f"feature {self.feature!r} of {count} pictures"
            )
        lengths = np.linalg.norm(features, axis=1)
        if not (np.abs(lengths - 1) <= LENGTH).all():
            raise UserError("features must have length 1; a picture that cannot be read has none")

    def _refuse_unfinished(self) -> None:
        if self.unfinished:
            raise UserError(
                f"a removal from {self._where} was interrupted, and what was removed may still lie "
                "in its files; end it by `dpeformer forget INDEX --finish`"
            )

    def _purge(self) -> None:
        kind = gallery_erasure.index_before(self._database)
        gallery_index.drop(self._database, self._table)
        gallery_erasure.purge(self._table, self._folder)
        if kind is not None and len(self) >= gallery_index.FEWEST:
            gallery_index.build(self._database, self._table, kind)
        gallery_erasure.unmark(self._database)

    def _bytes(self) -> int | None:
        if self._folder is None:
            return None
        return sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())
