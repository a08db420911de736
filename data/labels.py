"""Turns the texts that label pictures into numbers, and keeps the texts to show them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dpeformer_jax.base.protocol import JUNK

WHOLE_NUMBER = re.compile(r"[-+]?\d{1,18}")  # so long that it fits 64 bits

Texts = Mapping[int, str]  # the text that each number stands for; empty where numbers are labels


class Names(NamedTuple):
    """The texts that the numbers of identities and cameras stand for."""

    identities: Texts = {}
    cameras: Texts = {}

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, Any]) -> "Names":
        """Returns the names that a prepared copy keeps; those of earlier versions keep none."""
        kept = (metadata.get(field, {}) for field in cls._fields)
        return cls(*({int(number): text for number, text in texts.items()} for texts in kept))

    def as_metadata(self) -> dict[str, dict[str, str]]:
        """Returns what a prepared copy keeps: nothing where numbers are the labels."""
        named = {field: texts for field, texts in self._asdict().items() if texts}
        return {f: {str(number): text for number, text in t.items()} for f, t in named.items()}


NO_NAMES = Names()


def is_whole_number(text: str) -> bool:
    """Tells whether a text is a whole number that fits 64 bits."""
    return WHOLE_NUMBER.fullmatch(text) is not None


def is_junk(text: str) -> bool:
    """Tells whether a text is the identity of pictures that take part in nothing."""
    return is_whole_number(text) and int(text) == JUNK


def plain(label: str) -> str:
    """Returns what is the same for all spellings of a label: "17" for 17, 0017 and +17."""
    return str(int(label)) if is_whole_number(label) else label


def numbered(labels: Sequence[str]) -> tuple[list[int], Texts]:
    """Returns the number of each label, and the text that each number stands for.

    Where all labels are whole numbers they are the numbers, and stand for themselves. Otherwise the
    different labels are numbered from 1 in sorted order.
    """
    if all(map(is_whole_number, labels)):
        return [int(label) for label in labels], {}
    different = {plain(label): label for label in sorted(set(labels))}
    texts = dict(enumerate(sorted(different.values()), start=1))
    numbers = {plain(text): number for number, text in texts.items()}
    return [numbers[plain(label)] for label in labels], texts


def shown(numbers: Iterable[int], texts: Texts) -> list[int | str]:
    """Returns what a message says for some numbers: their texts, or the numbers themselves."""
    return [texts.get(int(number), int(number)) for number in numbers]
