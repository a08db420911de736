"""Filling a table of names in one direction or the other."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from dpeformer_jax.conversion.names import Entry
from dpeformer_jax.errors import ConfigError, mismatch

Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


class Comparison(NamedTuple):
    """A file's names beside a table's.

    missing: not in the file; left_over: not in the table; unused: neither, but known to be of no
    use; misshapen: in both, each with the shape expected and found.
    """

    missing: list[str]
    left_over: list[str]
    unused: list[str]
    misshapen: list[str]


def compare(
    theirs: Mapping[str, np.ndarray],
    table: Iterable[Entry],
    shapes: Shapes,
    unused: str,
) -> Comparison:
    """What keeps `theirs` from filling the table.

    Args:
        theirs: the arrays by their names.
        table: of their format.
        shapes: of our arrays by path.
        unused: regular expression for the start of names that may be left over.
    """
    table = list(table)
    known = {entry.key for entry in table}
    misshapen = []
    for entry in table:
        if entry.key in theirs:
            expected = entry.transform.theirs(_empty(shapes[entry.path])[entry.slot]).shape
            found = theirs[entry.key].shape
            if found != expected:
                misshapen.append(f"{entry.key}: expected {expected}, found {found}")
    others = [key for key in theirs if key not in known]
    return Comparison(
        missing=[entry.key for entry in table if entry.key not in theirs],
        left_over=[key for key in others if not re.match(unused, key)],
        unused=[key for key in others if re.match(unused, key)],
        misshapen=misshapen,
    )


def refuse(found: Comparison, allowed: str | None) -> None:
    """Raises ConfigError for names that do not fit, unless the pattern `allowed` accepts them."""

    try:
        accepted = re.compile(allowed or "(?!)")  # which matches nothing
    except re.error as error:
        raise ConfigError(f"--allow-missing={allowed} is no regular expression: {error}") from error

    def refused(keys: list[str]) -> list[str]:
        return [key for key in keys if not accepted.search(key)]

    problems = mismatch(refused(found.missing), refused(found.left_over), found.misshapen)
    if problems:
        raise ConfigError(
            f"it does not fit (- missing, + left over): {problems}. "
            "Missing and left-over names can be accepted with --allow-missing PATTERN"
        )


def to_ours(
    theirs: Mapping[str, np.ndarray],
    table: Iterable[Entry],
    shapes: Shapes,
) -> Arrays:
    """Our arrays by path, float32; one of which a piece is missing is left out."""
    table = list(table)
    incomplete = {entry.path for entry in table if entry.key not in theirs}
    ours: Arrays = {}
    for entry in table:
        if entry.path not in incomplete:
            target = ours.setdefault(entry.path, np.empty(shapes[entry.path], np.float32))
            target[entry.slot] = entry.transform.ours(theirs[entry.key])
    return ours


def to_theirs(ours: Mapping[str, np.ndarray], table: Iterable[Entry]) -> Arrays:
    """Their arrays by name, as far as ours hold them."""
    return {
        entry.key: np.ascontiguousarray(entry.transform.theirs(ours[entry.path][entry.slot]))
        for entry in table
        if entry.path in ours
    }


def _empty(shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.float32(0), shape)
