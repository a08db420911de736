"""Gallery pictures that are query pictures too, byte for byte, known by their SHA-256."""

import logging

import numpy as np

from dpeformer_jax.base.interfaces import TestSet

LOG = logging.getLogger(__name__)


def duplicates(test: TestSet) -> np.ndarray:
    """Returns the places, ascending, of the gallery pictures that are query pictures too."""
    queries = set(test.query.digests)
    return np.flatnonzero([digest in queries for digest in test.gallery.digests])


def hidden_by_cameras(test: TestSet, places: np.ndarray) -> bool:
    """Tells whether the camera rule hides every such picture from the query that it is."""
    labels = [
        list(zip(of.digests, of.identities.tolist(), of.cameras.tolist(), strict=True))
        for of in (test.query, test.gallery)
    ]
    queries = set(labels[0])
    return all(labels[1][place] in queries for place in places)


def warn_of_duplicates(test: TestSet, places: np.ndarray, camera_rule: bool, joined: bool) -> None:
    """Warns where such pictures change scores.

    joined: whether re-ranking or query expansion looks at the whole gallery.
    """
    hidden = camera_rule and not joined and hidden_by_cameras(test, places)
    if len(places) and not hidden:
        LOG.warning(
            "%s: %d of the %d gallery pictures are query pictures too, so scores are too high; "
            "--config.eval.drop_duplicates=True scores without them",
            *(test.name, len(places), len(test.gallery)),
        )
