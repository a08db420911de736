"""Any number of pictures to a file of features; an interrupted extraction goes on."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.places import is_url
from dpeformer_jax.base.progress import progress
from dpeformer_jax.extraction.computing import Pictures, Piece, computed, pieces_of
from dpeformer_jax.extraction.feature_file import form_of
from dpeformer_jax.extraction.parts import Parts
from dpeformer_jax.extraction.rows import About, rows_of
from dpeformer_jax.extractor import Extractor

if TYPE_CHECKING:
    from dpeformer_jax.extraction.stored_parts import StoredParts

MOST_NAMED = 1000  # errors that a summary holds; the file holds all


@dataclasses.dataclass
class Summary:
    """What an extraction did.

    target: the file; pictures: rows in it; pieces: that it was joined from; unreadable: rows
    without features; errors: why, of the first MOST_NAMED; resumed: rows that an earlier,
    interrupted run had computed; seconds: of this run, with the compilation of the network.
    """

    target: str
    pictures: int = 0
    pieces: int = 0
    unreadable: int = 0
    errors: list[str] = dataclasses.field(default_factory=list)
    resumed: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Pictures a second of this run."""
        return (self.pictures - self.resumed) / max(self.seconds, 1e-9)

    def count(self, errors: np.ndarray) -> None:
        """Adds rows with these errors [n], "" where there was none."""
        told = errors[errors != ""].tolist()
        self.pictures += len(errors)
        self.unreadable += len(told)
        self.errors += told[: MOST_NAMED - len(self.errors)]


def extract(
    extractor: Extractor,
    pictures: Pictures,
    target: Path | str,
    *,
    features: Sequence[str] | None = None,
    strict: bool = False,
    overwrite: bool = False,
) -> Summary:
    """Writes a file of features, a row a picture, whole or not at all.

    Pieces are kept beside the target until it is whole. The same call after an interruption
    computes only what is missing. A terminal shows rate and time left.

    Args:
        pictures: in a fixed order.
        target: *.npz, or *.parquet (needs pyarrow); see rows.py for its columns. At a URL as
            s3://bucket/features it is a folder of Parquet files, to which the same call adds what
            is missing.
        features: names of those to write; None for the one that pictures are compared by.
        strict: refuses pictures that cannot be read; else their rows tell why.
        overwrite: replaces the target.

    Raises:
        UserError: the target exists, there is no picture, an argument is wrong, or, with `strict`,
            a picture cannot be read. All such pictures are named; the target is not written.
    """
    about = about_of(extractor, features)
    parts = prepare(target, about, overwrite)
    summary = Summary(str(target))
    with progress(title="extracting", unit="picture", total=pictures.count()) as bar:
        missing = missing_pieces(parts, pictures, summary, strict, bar.update)
        start = time.monotonic()
        for piece, found in computed(extractor, missing, [*about.features], bar.update):
            rows = rows_of(piece.items, found)
            parts.write(piece.number, rows)
            summary.count(rows["error"])
        summary.seconds = time.monotonic() - start
    return finish(parts, summary, strict)


def missing_pieces(
    parts: "Parts | StoredParts",
    pictures: Pictures,
    summary: Summary,
    strict: bool,
    told: Callable[[int], object],
) -> Iterator[Piece]:
    """Yields the pieces that are to be computed, and counts those that are there.

    With `strict`, a piece with a picture that could not be read is to be computed again.

    told: is called with the number of pictures of each piece that is there.
    """
    for piece in pieces_of(pictures):
        summary.pieces += 1
        errors = parts.errors(piece.number, piece.items)
        if errors is None or (strict and (errors != "").any()):
            yield piece
            continue
        summary.count(errors)
        summary.resumed += len(errors)
        told(len(errors))


def about_of(extractor: Extractor, features: Sequence[str] | None) -> About:
    """Returns what a file of these features says; raises UserError for a name that is none."""
    names = [extractor.feature] if features is None else list(features)
    if not names or set(names) - extractor.widths.keys():
        known = ", ".join(extractor.widths)
        raise UserError(f"features {', '.join(names)} must be some of {known}")
    return About(extractor.fingerprint, {name: extractor.widths[name] for name in names})


def prepare(target: Path | str, about: About, overwrite: bool) -> "Parts | StoredParts":
    """Returns the pieces of a target; raises UserError where it exists or cannot be written."""
    if not is_url(target):
        form_of(target)
        if target.is_dir():
            raise UserError(f"{target} is a folder; give the name of a file")
        if target.exists() and not overwrite:
            raise UserError(f"{target} exists already; choose another name, or give --overwrite")
    return parts_of(target, about, overwrite)


def parts_of(target: Path | str, about: About, anew: bool = False) -> "Parts | StoredParts":
    """Returns the pieces of a target; anew: removes those at a URL first."""
    if is_url(target):
        from dpeformer_jax.extraction.stored_parts import StoredParts

        return StoredParts(str(target), about, anew)
    return Parts(target, about)


def finish(parts: "Parts | StoredParts", summary: Summary, strict: bool) -> Summary:
    """Joins the pieces; raises UserError where there is none, or `strict` forbids errors."""
    if not summary.pieces:
        raise UserError("there is no picture to extract")
    if strict and summary.unreadable:
        raise UserError(
            f"{summary.unreadable} of {summary.pictures} pictures cannot be read: "
            f"{some(summary.errors, MOST_NAMED)}. Mend or remove them and give the same command "
            "again, which goes on; or leave out --strict"
        )
    parts.join(summary.pieces)
    return summary
