"""Enrols people in a gallery: from pictures, or from files of features."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dpeformer_jax.extraction.computing import Pictures
from dpeformer_jax.extraction.extract import MOST_NAMED
from dpeformer_jax.extraction.pieces import about_file, rows_of_file, rows_of_pictures
from dpeformer_jax.extraction.rows import Rows
from dpeformer_jax.extractor import Extractor
from dpeformer_jax.features import AFTER, CONCAT, unit_length
from dpeformer_jax.retrieval.gallery import Gallery


@dataclasses.dataclass
class Enrolled:
    """What an enrolment did.

    new: pictures that the gallery holds now and did not before; known: that it held already, under
    the same path; unreadable: that could not be read; errors: why, of the first MOST_NAMED.
    """

    new: int = 0
    known: int = 0
    unreadable: int = 0
    errors: list[str] = dataclasses.field(default_factory=list)


def enrol_pictures(where: str, extractor: Extractor, pictures: Pictures) -> Enrolled:
    """Enrols pictures in the gallery at `where`, which is made if there is none.

    Pictures are enrolled piece by piece, each whole or not at all: after an interruption the same
    call goes on.

    Raises:
        UserError: the gallery is of another network, or another process writes to it.
    """
    name = extractor.feature
    gallery = open_or_create(where, extractor.fingerprint, name, extractor.widths[name])
    return enrol(gallery, rows_of_pictures(extractor, pictures, "enrolling"))


def enrol_file(where: str, path: Path) -> Enrolled:
    """Enrols the rows of a file of features, otherwise as enrol_pictures does."""
    about = about_file(path)
    preferred = [name for name in (CONCAT, AFTER, *about.features) if name in about.features]
    gallery = open_or_create(where, about.network, preferred[0], about.features[preferred[0]])
    return enrol(gallery, rows_of_file(path, gallery.network, gallery.feature))


def enrol(gallery: Gallery, pieces: Iterable[Rows]) -> Enrolled:
    """Enrols rows that hold the gallery's feature, a piece at a time."""
    done = Enrolled()
    for rows in pieces:
        read = rows["error"] == ""
        told = rows["error"][~read].tolist()
        done.unreadable += len(told)
        done.errors += told[: MOST_NAMED - len(done.errors)]
        if not read.any():
            continue
        new = gallery.add(
            unit_length(rows[gallery.feature][read]),
            rows["path"][read].tolist(),
            identities=_known(rows["identity"][read]),
            cameras=_known(rows["camera"][read]),
            times=[None if np.isnan(time) else time for time in rows["time"][read].tolist()],
        )
        done.new += new
        done.known += int(read.sum()) - new
    return done


def open_or_create(where: str, network: str, feature: str, width: int) -> Gallery:
    """Opens the gallery of a network, or makes it."""
    if Gallery.exists(where):
        return Gallery.open(where, network=network)
    return Gallery.create(where, network=network, feature=feature, width=width)


def _known(texts: np.ndarray) -> list[str | None]:
    return [text or None for text in texts.tolist()]
