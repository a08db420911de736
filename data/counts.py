"""Compares the published counts of a data set with those found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from data.builder import Counts, Item

BySplit = Mapping[str, Counts]

COLUMNS = ("identities", "images", "cameras")


class Difference(NamedTuple):
    """One count that differs from the published one."""

    split: str
    column: str
    expected: int
    found: int
    certain: bool

    def __str__(self) -> str:
        doubt = "" if self.certain else ", a figure without a known source"
        return f"{self.split}: {self.found} {self.column} ({self.expected} published{doubt})"


def count(items: Sequence[Item]) -> Counts:
    """Counts the identities, images and cameras of a split."""
    identities = {item.identity for item in items}
    return Counts(len(identities), len(items), len({item.camera for item in items}))


def differences(published: BySplit, found: BySplit) -> Iterator[Difference]:
    """Yields each count of a found split that differs from the published one."""
    for split, expected in published.items():
        for column in COLUMNS if split in found else ():
            number, there = getattr(expected, column), getattr(found[split], column)
            if number is not None and number != there:
                yield Difference(split, column, number, there, expected.certain)


def table(published: BySplit, found: BySplit) -> str:
    """Formats expected and found counts, one line a split; "-" where none is known."""
    head = "".join(f"{column:>22}" for column in COLUMNS)
    lines = [f"{'':10}{head}", f"{'split':10}" + f"{'expected':>13}{'found':>9}" * len(COLUMNS)]
    for split, counts in found.items():
        cells = ""
        for column in COLUMNS:
            pair = (getattr(of, column, None) for of in (published.get(split), counts))
            expected, there = ("-" if number is None else number for number in pair)
            cells += f"{expected:>13}{there:>9}"
        lines.append(f"{split:10}{cells}")
    return "\n".join(lines)


def likely_cause(published: BySplit, found: BySplit, others: Mapping[str, BySplit]) -> str:
    """Returns one sentence on why the counts may differ; others: those of all data sets by name."""
    for name, counts in others.items():
        if counts and not any(differences(counts, found)):
            return f"These are the counts of {name}; is that the data set that you mean?"
    surplus = {s: found[s].images - c.images for s, c in published.items() if s in found}
    fewer = [split for split, images in surplus.items() if images < 0]
    more = [split for split, images in surplus.items() if images > 0]
    if fewer and not more:
        return f"Files are missing ({', '.join(fewer)}): was a copy or an unpacking cut off?"
    if more and not fewer:
        return f"There are too many files ({', '.join(more)}): two versions, or pictures added?"
    if not fewer and not more:
        return "There are as many files as published, but their names differ: renamed files?"
    return "Some splits are larger than published, others smaller: another version of the data set?"
