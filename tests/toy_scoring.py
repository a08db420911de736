"""Scores by one of several processes that hold shares of a gallery, as a process of its own.

python tests/toy_scoring.py FILE SCENE PROCESS PROCESSES COORDINATOR

FILE, an .npz, gets the ranks of the matches and what eval.json would say, by name.
"""

import json
import sys

import numpy as np
import plain_scores

from dpeformer_jax.retrieval.evaluate import of_feature
from dpeformer_jax.retrieval.scoring import Scoring, scores_of
from dpeformer_jax.retrieval.shares import Share
from dpeformer_jax.runtime.processes import Distributed, failing_together, join_processes

SCORING = Scoring(single_shot=2, expand=3, rerank={"k1": 6, "k2": 3, "weight": 0.3})


def scored(scene: str, process: int, processes: int) -> dict[str, np.ndarray]:
    """Returns the ranks of the matches, and the scores as JSON."""
    query, gallery, *labels = getattr(plain_scores, scene)()
    if scene == "grid":  # expansion needs features of length 1
        query, gallery = (
            {name: np.float32(x / np.sqrt(4 * len(x[0]))) for name, x in side.items()}
            for side in (query, gallery)
        )
    images = len(labels[1].identities)
    # Uneven shares, and none of the last process's images together.
    places = np.flatnonzero(np.arange(images) % (2 * processes - 1) % processes == process)
    share = Share({name: x[places] for name, x in gallery.items()}, places)
    found = dict(scores_of(query, share, *labels, SCORING))
    told = {name: of_feature(of, labels[0].identities) for name, of in found.items()}
    ranks = {f"{name} nearer": of.ranked.nearer for name, of in found.items()}
    return {"scores": np.array(json.dumps(told)), **ranks}


def main(file: str, scene: str, process: str, processes: str, coordinator: str) -> None:
    join_processes(Distributed(True, coordinator, int(processes), int(process)))
    np.savez(file, **scored(scene, int(process), int(processes)))


if __name__ == "__main__":
    with failing_together():
        main(*sys.argv[1:])
