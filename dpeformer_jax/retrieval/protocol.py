"""Who counts in a ranking: the Market-1501 protocol.

For each query the gallery images with its identity and its camera are removed, unless the camera
rule is off. Images of the identity JUNK are removed for all queries.
"""

from typing import NamedTuple

import numpy as np

from dpeformer_jax.base.protocol import JUNK


class Labels(NamedTuple):
    """Who M images show, and which camera took them: [M] whole numbers each."""

    identities: np.ndarray
    cameras: np.ndarray

    def at(self, places: np.ndarray) -> "Labels":
        """Returns the labels of some of the images."""
        return Labels(self.identities[places], self.cameras[places])

    def without(self, places: np.ndarray) -> "Labels":
        """Returns the labels with some images as junk."""
        identities = self.identities.copy()
        identities[places] = JUNK
        return Labels(identities, self.cameras)


class Pairs(NamedTuple):
    """P pairs of a query and a gallery image: [P] places in each, sorted by both."""

    rows: np.ndarray
    columns: np.ndarray


def matches(query: Labels, gallery: Labels, camera_rule: bool = True) -> Pairs:
    """Returns the pairs of one identity that take part in the ranking."""
    order = np.argsort(gallery.identities, kind="stable")
    identities = gallery.identities[order]
    starts = np.searchsorted(identities, query.identities)
    ends = np.searchsorted(identities, query.identities, side="right")
    counts = np.where(query.identities == JUNK, 0, ends - starts)
    rows = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
    columns = order[np.repeat(starts, counts) + within]
    kept = query.cameras[rows] != gallery.cameras[columns]
    return Pairs(rows[kept], columns[kept]) if camera_rule else Pairs(rows, columns)


def is_impostor(identity: int, gallery: np.ndarray) -> np.ndarray:
    """Tells which gallery identities [G] a query of an identity is ranked against as others."""
    return (gallery != identity) & (gallery != JUNK) & (identity != JUNK)
