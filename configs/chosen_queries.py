"""Which queries a picture shows: --queries=worst:8, random:8, or names."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.interfaces import TestSet
from dpeformer_jax.retrieval.per_query import read_rows
from dpeformer_jax.retrieval.report import stored_report

KINDS, USUAL = ("worst", "random"), 8
MOST = 60  # queries of one picture


class Wanted(NamedTuple):
    """What --queries asks for: a kind of KINDS and how many, or the names of pictures."""

    kind: str
    count: int
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Wanted":
        """Reads a flag; raises UserError where it is none of the three."""
        kind, _, count = text.partition(":")
        if kind not in KINDS:
            names = tuple(name.strip() for name in text.split(",") if name.strip())
            if not names:
                raise UserError(f"--queries={text!r} names no query; give worst:8 or random:8")
            return cls("named", len(names), names)
        if count and not (count.isdecimal() and 0 < int(count) <= MOST):
            raise UserError(f"--queries={text} must ask for 1 to {MOST} queries, as {kind}:8")
        return cls(kind, int(count or USUAL), ())


def chosen_queries(
    wanted: Wanted, test: TestSet, feature: str, workdir: Path, seed: int
) -> np.ndarray:
    """Returns the places of the wanted queries of a test set.

    The worst are those of the lowest average precision in the workdir's eval.json.

    Raises:
        UserError: a name fits no query or several, or the workdir's scores do not tell the worst.
    """
    paths = list(test.query.paths)
    if wanted.kind == "named":
        return np.array([_named(name, paths, test.name) for name in wanted.names])
    if wanted.kind == "random":
        drawn = np.random.default_rng(seed).permutation(len(paths))
        return np.sort(drawn[: wanted.count])
    report = workdir / "eval.json"
    rows = read_rows(report, stored_report(report)).to_pylist()
    precision = {
        row["query"]: row["precision"]
        for row in rows
        if (row["data_set"], row["feature"]) == (test.name, feature)
        and row["precision"] is not None
    }
    if not precision.keys() & set(paths):
        raise UserError(
            f"{report} does not tell the worst queries of {test.name} by {feature!r}; score first: "
            f"python main.py --mode=eval --workdir={workdir}; or give --queries=random"
        )
    known = [place for place, path in enumerate(paths) if path in precision]
    worst = sorted(known, key=lambda place: (precision[paths[place]], place))
    return np.array(worst[: wanted.count])


def _named(name: str, paths: list[str], data_set: str) -> int:
    exact = [place for place, path in enumerate(paths) if path == name]
    found = exact or [place for place, path in enumerate(paths) if name in path]
    if len(found) != 1:
        told = some([paths[place] for place in found]) if found else f"as there is {paths[0]}"
        raise UserError(
            f"--queries: {name!r} must be part of the name of one query of {data_set}, and is of "
            f"{len(found)} ({told})"
        )
    return found[0]
