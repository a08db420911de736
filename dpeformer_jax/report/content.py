"""What a report says, ready to be rendered."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Plot(NamedTuple):
    """title: above it; svg: inline; told: what it shows, for those who do not see it."""

    title: str
    svg: str
    told: str


class Cell(NamedTuple):
    """A score in percent, and its 95 % interval as text or ""."""

    value: str
    interval: str


class ScoreRow(NamedTuple):
    """The scores of one run's feature, in the order of the table's columns."""

    run: str
    feature: str
    cells: Sequence[Cell]


class DataSet(NamedTuple):
    """What the page says of one test set.

    facts: name and value of each, such as the fingerprint.
    """

    name: str
    scores: Sequence[ScoreRow]
    plots: Sequence[Plot]
    facts: Sequence[tuple[str, str]]


class Run(NamedTuple):
    """What the page says of one run.

    facts: name and value of each: checkpoint, wall time, command, versions, hardware.
    changed: fields of the config that are not the defaults: name, value, default; None where the
    workdir has no config. config: all fields as text.
    """

    name: str
    facts: Sequence[tuple[str, str]]
    changed: Sequence[tuple[str, str, str]] | None
    config: str


class Page(NamedTuple):
    """A whole report.

    columns: of the tables of scores; training: plots of the trainings.
    browser: what report.js shows, ready for JSON: see report/browser.py; None without queries.
    """

    title: str
    made: str
    command: str
    columns: Sequence[str]
    sets: Sequence[DataSet]
    training: Sequence[Plot]
    runs: Sequence[Run]
    browser: Mapping[str, Any] | None
