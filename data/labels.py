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


def numbered(texts: Sequence[str]) -> tuple[list[int], Texts]:
    """Returns the number of each text, and the text that each number stands for.

    Where all texts are whole numbers they are the numbers, and stand for themselves. Otherwise the
    different texts are numbered from 1 in sorted order.
    """
    if all(map(is_whole_number, texts)):
        return [int(text) for text in texts], {}
    names = dict(enumerate(sorted(set(texts)), start=1))
    numbers = {text: number for number, text in names.items()}
    return [numbers[text] for text in texts], names


def shown(numbers: Iterable[int], names: Texts) -> list[int | str]:
    """Returns what a message says for some numbers: their texts, or the numbers themselves."""
    return [names.get(int(number), int(number)) for number in numbers]
