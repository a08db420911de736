"""Enrols pictures in batches until it is killed: python tests/enrolling.py FOLDER START BATCHES

It prints the number of each batch when the gallery has acknowledged it.
"""

import sys

import numpy as np

from dpeformer_jax.retrieval.gallery import Gallery

NETWORK, FEATURE, WIDTH, BATCH = "ab" * 32, "concat", 48, 50


def paths_of(batch):
    return [f"/pictures/person {batch}/picture {batch:04}-{row:03}.jpg" for row in range(BATCH)]


def vectors_of(batch):
    """Features at length 1 that follow from the number of the batch."""
    rows = np.random.default_rng(batch).standard_normal((BATCH, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def opened(folder):
    if Gallery.exists(folder):
        return Gallery.open(folder, network=NETWORK)
    return Gallery.create(folder, network=NETWORK, feature=FEATURE, width=WIDTH)


def enrol(gallery, batch):
    names = {"identities": [f"person {batch}"] * BATCH, "cameras": [str(batch % 3)] * BATCH}
    return gallery.add(vectors_of(batch), paths_of(batch), **names)


if __name__ == "__main__":
    folder, start, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for batch in range(start, start + batches):
        enrol(opened(folder), batch)
        print(batch, flush=True)
