"""Rows of features, a piece at a time, from pictures or from a file of features."""

from collections.abc import Iterator
from pathlib import Path

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.progress import progress
from dpeformer_jax.extraction.computing import Pictures, computed, pieces_of
from dpeformer_jax.extraction.feature_file import form_of
from dpeformer_jax.extraction.rows import About, Rows, rows_of
from dpeformer_jax.extractor import Extractor


def rows_of_pictures(extractor: Extractor, pictures: Pictures, title: str) -> Iterator[Rows]:
    """Yields the rows of pictures, with the feature that they are compared by.

    title: of the progress bar.
    """
    with progress(title=title, unit="picture", total=pictures.count()) as bar:
        names = [extractor.feature]
        for piece, found in computed(extractor, pieces_of(pictures), names, bar.update):
            yield rows_of(piece.items, found)


def rows_of_file(path: Path, network: str, feature: str) -> Iterator[Rows]:
    """Yields the rows of a file of features.

    Raises:
        UserError: the file is damaged, or of another network, or lacks the feature.
    """
    about = about_file(path)
    if about.network != network:
        raise UserError(
            f"{path} holds features of the network {about.network[:8]}, and {network[:8]} is "
            "needed: features of two networks cannot be compared; extract again"
        )
    if feature not in about.features:
        raise UserError(
            f"{path} holds {', '.join(about.features)}, and {feature} is needed; extract it with "
            f"--features {feature}"
        )
    return form_of(path).pieces(path)


def about_file(path: Path) -> About:
    """Returns what a file of features says of itself; raises UserError where it is none."""
    if not path.exists():
        raise UserError(f"{path} does not exist; `dpeformer extract` writes a file of features")
    return form_of(path).read_about(path)
