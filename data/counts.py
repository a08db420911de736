"""Published counts of data sets against those found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from data.builder import Counts, Item

COLUMNS = ("identities", "images", "cameras")


class Difference(NamedTuple):
    """One count that is not the published one."""

    split: str
    what: str
    expected: int
    found: int
    certain: bool

    def __str__(self) -> str:
        doubt = "" if self.certain else ", a figure without a known source"
        return f"{self.split}: {self.found} {self.what} ({self.expected} published{doubt})"


def count(items: Sequence[Item]) -> Counts:
    """The counts of a split."""
    identities = {item.identity for item in items}
    return Counts(len(identities), len(items), len({item.camera for item in items}))


def differences(
    published: Mapping[str, Counts], found: Mapping[str, Counts]
) -> Iterator[Difference]:
    """What is published and was found otherwise."""
    for split, expected in published.items():
        for what in COLUMNS:
            number, there = getattr(expected, what), getattr(found[split], what)
            if number is not None and number != there:
                yield Difference(split, what, number, there, expected.certain)


def table(published: Mapping[str, Counts], found: Mapping[str, Counts]) -> str:
    """Expected and found counts, one line a split; "-" where nothing is published."""
    head = "".join(f"{what:>22}" for what in COLUMNS)
    lines = [f"{'':10}{head}", f"{'split':10}" + f"{'expected':>13}{'found':>9}" * len(COLUMNS)]
    for split, counts in found.items():
        cells = ""
        for what in COLUMNS:
            number = getattr(published.get(split), what, None)
            cells += f"{'-' if number is None else number:>13}{getattr(counts, what):>9}"
        lines.append(f"{split:10}{cells}")
    return "\n".join(lines)


def likely_cause(
    published: Mapping[str, Counts],
    found: Mapping[str, Counts],
    others: Mapping[str, Mapping[str, Counts]],
) -> str:
    """One sentence on why the counts differ.

    Args:
        others: published counts by name of every data set there is.
    """
    for name, counts in others.items():
        if counts and counts.keys() <= found.keys() and not any(differences(counts, found)):
            return f"These are the counts of {name}; is that the data set that you mean?"
    fewer = [s for s, counts in published.items() if found[s].images < counts.images]
    more = [s for s, counts in published.items() if found[s].images > counts.images]
    if fewer and not more:
        return f"Files are missing ({', '.join(fewer)}): a copy or an unpacking that was cut off."
    if more and not fewer:
        return (
            f"There are files too many ({', '.join(more)}): two versions in one folder, or "
            "pictures that were added."
        )
    if not fewer and not more:
        return "The files are as many as published, but their names say otherwise: renamed files?"
    return "The splits are others than the published ones: another version of the data set?"
