"""Reads identity and camera from the base names of files."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data.dataset_spec import DEFAULT_PATTERN, WHERE_PATTERN
from data.labels import is_whole_number
from dpeformer_jax.base.errors import UserError

# cam2 or camera-2, and c2, as a word of its own
LONG_WORD, SHORT_WORD = (
    re.compile(rf"(?<![^\W_]){word}(\d+)(?![^\W_])", re.IGNORECASE)
    for word in ("cam(?:era)?[-_ ]?", "c")
)


class Read(NamedTuple):
    """What a name says; "" where the pattern has no such group."""

    identity: str = ""
    camera: str = ""


class NamePattern:
    """A regular expression that base names open with.

    It has the groups `identity` and `camera`, in any order. Two groups without names are these two.

    text: the expression; labels: the groups that it has.
    """

    def __init__(self, text: str, identity: bool = True):
        """Compiles the text.

        Args:
            identity: whether a group for the identity is needed.

        Raises:
            UserError: the text is no regular expression, has other groups or lacks one.
        """
        self.text = text
        told = f"the pattern '{text}' ({WHERE_PATTERN})"  # no repr: it can be pasted
        try:
            self._compiled = re.compile(text)
        except re.error as error:
            raise UserError(f"{told} is not a regular expression: {error}") from error
        places = self._compiled.groupindex or {"identity": 1, "camera": 2}
        others = set(places) - {*Read._fields} or len(places) != self._compiled.groups
        if others or (identity and "identity" not in places):
            raise UserError(
                f"{told} does not have the groups that it needs: (?P<identity>...) and "
                "(?P<camera>...), of which camera may be missing, or two without names, for "
                "identity and camera. Write (?:...) for any other group"
            )
        self.labels = sorted(places, reverse=True)
        self._places = places

    def read(self, path: Path) -> Read | None:
        """Returns what the base name says; None where the pattern does not fit it."""
        found = self._compiled.match(path.name)
        if found is None:
            return None
        texts = {label: found[place] or "" for label, place in self._places.items()}
        # By the default pattern "-" and "3-1" would be identities.
        is_label = is_whole_number if self.text == DEFAULT_PATTERN else bool
        return Read(**texts) if all(map(is_label, texts.values())) else None

    def misfit(self, path: Path) -> UserError:
        """Returns the error of a file whose name the pattern does not fit."""
        return UserError(
            f"{path}: the name does not give {' and '.join(self.labels)} by the pattern "
            f"'{self.text}'. Names must match a pattern from their start (it may open with .*)"
        )


def camera_words(files: Sequence[Path]) -> list[str]:
    """Returns the number of a word such as cam2, camera-2 or c2 in each base name; "": none.

    A plain c is of cameras only if two files of one folder share a number: otherwise it counts
    files (c0001, c0002...).
    """
    cameras = _numbers(LONG_WORD, files)
    short = _numbers(SHORT_WORD, files)
    images = Counter((path.parent, number) for path, number in zip(files, short, strict=True))
    if any(number and count > 1 for (_, number), count in images.items()):
        return [one or other for one, other in zip(cameras, short, strict=True)]
    return cameras


def _numbers(word: re.Pattern, files: Sequence[Path]) -> list[str]:
    found = (word.search(path.stem) for path in files)
    return ["" if match is None else match[1] for match in found]
