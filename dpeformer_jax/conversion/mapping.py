"""Fills tables of names, from other programs' arrays to ours and back."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dpeformer_jax.base.errors import UserError, mismatch
from dpeformer_jax.conversion.entries import Entry

Arrays = dict[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]  # of our arrays, by path


class Comparison(NamedTuple):
    """What keeps a file from filling a table.

    missing: names that the file lacks; left_over: names that the table lacks; unused: those of
    them that are known to be of no use; misshapen: names in both, with the shapes expected and
    found.
    """

    missing: list[str]
    left_over: list[str]
    unused: list[str]
    misshapen: list[str]


def compare(theirs: Arrays, table: list[Entry], shapes: Shapes, unused: str) -> Comparison:
    """Compares a file's names and shapes with a table's.

    unused: regular expression for the start of names that may be left over.
    """
    expected = shapes_of_theirs(table, shapes)
    others = [key for key in theirs if key not in expected]
    return Comparison(
        missing=[key for key in expected if key not in theirs],
        left_over=[key for key in others if not re.match(unused, key)],
        unused=[key for key in others if re.match(unused, key)],
        misshapen=[
            f"{key}: expected {shape}, found {theirs[key].shape}"
            for key, shape in expected.items()
            if key in theirs and theirs[key].shape != shape
        ],
    )


def shapes_of_theirs(table: list[Entry], shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Returns the shapes that a table's arrays have in the other program, by name."""
    expected = {}
    for entry in table:
        ours = np.broadcast_to(np.float32(0), shapes[entry.path])[entry.slot]
        expected[entry.key] = entry.transform.theirs(ours).shape
    return expected


def refuse(found: Comparison, allowed: str | None) -> None:
    """Raises UserError where a file does not fit; names that `allowed` finds are accepted."""
    try:
        accepted = re.compile(allowed or "(?!)")  # the default finds nothing
    except re.error as error:
        raise UserError(f"--allow-missing={allowed} is no regular expression: {error}") from error
    missing, left_over = (
        [key for key in keys if not accepted.search(key)]
        for keys in (found.missing, found.left_over)
    )
    if problems := mismatch(missing, left_over, found.misshapen):
        raise UserError(
            f"it does not fit (- missing, + left over): {problems}. "
            "Missing and left-over names can be accepted with --allow-missing PATTERN"
        )


def to_ours(theirs: Arrays, table: list[Entry], shapes: Shapes) -> Arrays:
    """Returns our arrays by path, float32, without those of which a piece is missing."""
    incomplete = {entry.path for entry in table if entry.key not in theirs}
    ours: Arrays = {}
    for entry in table:
        if entry.path not in incomplete:
            target = ours.setdefault(entry.path, np.empty(shapes[entry.path], np.float32))
            target[entry.slot] = entry.transform.ours(theirs[entry.key])
    return ours


def to_theirs(ours: Arrays, table: list[Entry]) -> Arrays:
    """Returns their arrays by name, without those that ours lack."""
    return {
        entry.key: np.ascontiguousarray(entry.transform.theirs(ours[entry.path][entry.slot]))
        for entry in table
        if entry.path in ours
    }
