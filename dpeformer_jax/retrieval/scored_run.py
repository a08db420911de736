"""The scores of one workdir: eval.json and the rows beside it."""

import json
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.origin import Origin
from dpeformer_jax.checkpoint.weights import workdir_of
from dpeformer_jax.retrieval.per_query import read_rows


class Queries(NamedTuple):
    """The queries of one data set and feature that have a match: [Q] each, values by measure."""

    paths: np.ndarray
    identities: np.ndarray
    values: dict[str, np.ndarray]


class ScoredRun:
    """A workdir with its report and, unless an earlier version wrote it, the report's rows.

    datasets: what the report says of each data set, by name.
    """

    def __init__(self, workdir: Path, like: "ScoredRun | None" = None):
        """Reads a workdir.

        Args:
            like: another run, whose names data sets of the same pictures get.

        Raises:
            UserError: the workdir has no scores.
        """
        path = workdir / "eval.json"
        self.workdir = workdir
        if not workdir.is_dir():
            raise UserError(f"--workdir names {workdir}, which is not a folder")
        try:
            self.report: dict[str, Any] = json.loads(path.read_text())
            told: dict[str, dict[str, Any]] = self.report["datasets"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path} cannot be read ({error}); {self.mend}") from error
        self._rows: pa.Table = read_rows(path, self.report)
        self._own_names = {name: name for name in told}
        if like is not None:
            self._own_names = _names_as_in(like.datasets, told)
        self.datasets = {name: told[own] for name, own in self._own_names.items()}

    @property
    def trained_in(self) -> Path:
        """Returns the workdir of the training: another one where a checkpoint was scored here."""
        checkpoint = self.report.get("checkpoint")
        return self.workdir if checkpoint is None else workdir_of(Path(checkpoint))

    @property
    def mend(self) -> str:
        """Says how to write the workdir's scores anew."""
        return f"score it: python main.py --mode=eval --workdir={shlex.quote(str(self.workdir))}"

    @property
    def origin(self) -> Origin:
        """Returns what the training began with."""
        return Origin.of(self.report.get("trained_on", {}))

    def features(self, name: str) -> list[str]:
        """Lists the features that are scored on a data set."""
        return [feature for feature, told in self.datasets[name].items() if isinstance(told, dict)]

    def has_rows(self, name: str) -> bool:
        """Tells whether there are results per query of a data set."""
        return pc.is_in(pa.scalar(self._own_names[name]), self._rows["data_set"]).as_py()

    def queries(self, name: str, feature: str) -> Queries:
        """Returns the queries of a data set; none where there are no rows of it."""
        own = self._own_names[name]
        wanted = (pc.field("data_set") == own) & (pc.field("feature") == feature)
        rows = self._rows.filter(wanted & pc.field("precision").is_valid())
        paths, identities, precision, first = (
            rows[column].to_numpy() for column in ("query", "identity", "precision", "first_match")
        )
        return Queries(paths, identities, {"mAP": precision, "rank1": (first == 1).astype(float)})


def _names_as_in(
    others: dict[str, dict[str, Any]], told: dict[str, dict[str, Any]]
) -> dict[str, str]:
    """Returns, by the name to use, the name that `told` has for each of its data sets."""
    known = {of.get("fingerprint"): name for name, of in others.items()}
    names = {}
    for own, of in told.items():
        name = known.get(of.get("fingerprint"), own)
        names[own if name in told else name] = own
    return names
