"""The scores by their definitions in plain NumPy, float64 and whole matrices."""

import numpy as np

from dpeformer_jax.base.protocol import JUNK
from dpeformer_jax.retrieval.protocol import Labels


def distances(query, gallery):
    """Squared Euclidean [Q, G]."""
    return np.square(np.asarray(query, float)[:, None] - gallery).sum(axis=2)


def mean_distances(query, gallery):
    """Of several features by name, the mean."""
    return np.mean([distances(query[name], gallery[name]) for name in query], axis=0)


def ranks_of_matches(matrix, of_query, of_gallery, camera_rule=True):
    """For each query the ranks, counted from 1, of its matches among what is kept."""
    found = []
    for row, identity, camera in zip(matrix, *of_query, strict=True):
        same = of_gallery.identities == identity
        removed = of_gallery.identities == JUNK
        if camera_rule:
            removed |= same & (of_gallery.cameras == camera)
        order = np.argsort(row, kind="stable")
        order = order[~removed[order]]
        ranks = 1 + np.flatnonzero(same[order])
        found.append(ranks if identity != JUNK else ranks[:0])
    return found


def scores(ranks):
    """mAP, mINP and the ranks of the first matches, of queries that have any."""
    used = [r for r in ranks if len(r)]
    precision = [np.mean(np.arange(1, len(r) + 1) / r) for r in used]
    return (
        np.mean(precision),
        np.mean([len(r) / r[-1] for r in used]),
        np.array([r[0] for r in used]),
    )


def genuine_and_impostors(matrix, of_query, of_gallery, camera_rule=True):
    """Distances of the two kinds of pairs."""
    match = of_query.identities[:, None] == of_gallery.identities
    counted = (of_query.identities != JUNK)[:, None] & (of_gallery.identities != JUNK)
    other_camera = of_query.cameras[:, None] != of_gallery.cameras
    genuine = match & counted & (other_camera if camera_rule else True)
    return matrix[genuine], matrix[counted & ~match]


def true_accept_rate(genuine, impostors, rate):
    """The share of genuine pairs below every impostor that must not be accepted."""
    allowed = int(np.floor(len(impostors) * rate + 1e-9))
    threshold = np.inf if allowed == len(impostors) else np.sort(impostors)[allowed]
    return np.mean(genuine < threshold)


def crowd(queries=40, images=150, people=12, width=16, seed=0, dtype=np.float32):
    """Features by name around a centre for each person, with junk and distractors; their labels."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people + 2, 2, width))

    def side(count):
        identities = rng.integers(-1, people + 1, count)
        features = centres[identities + 1] + rng.standard_normal((count, 2, width))
        features /= np.linalg.norm(features, axis=2, keepdims=True)
        named = {name: features[:, i].astype(dtype) for i, name in enumerate(("holistic", "parts"))}
        return named, Labels(identities, rng.integers(0, 3, count))

    query, of_query = side(queries)
    gallery, of_gallery = side(images)
    return query, gallery, of_query, of_gallery


def one_image():
    """As `crowd`, with a gallery of one image, that some queries match."""
    query, gallery, of_query, _ = crowd(images=1)
    return query, gallery, of_query, Labels(of_query.identities[:1], 1 + of_query.cameras[:1])


def grid(queries=30, images=120, seed=0):
    """As `crowd`, of small whole numbers: masses of equal distances and of copies."""
    rng = np.random.default_rng(seed)
    query, gallery = (
        {name: rng.integers(0, 3, (count, 2)).astype(np.float32) for name in ("holistic", "parts")}
        for count in (queries, images)
    )
    labels = [Labels(rng.integers(-1, 9, n), rng.integers(0, 3, n)) for n in (queries, images)]
    return query, gallery, *labels
