"""Measures scoring alone, without a network: seconds from features to the scores of one feature.

python -m benchmarks.score --rerank
python -m benchmarks.score --distractors 500000 --no-peer

The features are drawn, by default as many as Market-1501 has. The peers are a distance matrix that
is sorted as a whole, and dense k-reciprocal re-ranking: see whole_matrix.py. A peer's scores must
be the same. Each program has a process of its own, and its memory is the highest of that process,
above what it had when the features lay ready. Scoring and its peer take turns. Re-ranking and its
peer are measured once each, after a first call of ours that compiles; so is scoring with
--repeats=1.
"""

import argparse
import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks import whole_matrix
from benchmarks.apart import Apart, Outcome
from benchmarks.drawn_features import Drawn, Size, draw
from benchmarks.measure import Timing, alternate, report
from dpeformer_jax.retrieval.given_distances import rank_given
from dpeformer_jax.retrieval.metrics import Scores, score
from dpeformer_jax.retrieval.protocol import Labels, matches
from dpeformer_jax.retrieval.rerank import PRESETS, rerank_rows

Told = dict[str, float]  # scores under the names of eval.json
TOLERANCE = 1e-6  # between the scores of two programs
MB = 1e6


def scored(drawn: Drawn) -> Told:
    """Scores as `--mode=eval` does."""
    labels = Labels(*drawn.of_query), Labels(*drawn.of_gallery)
    return score(drawn.query, drawn.gallery, *labels).as_dict()


def sorted_whole(drawn: Drawn) -> Told:
    """Scores by the whole matrix."""
    gallery = drawn.gallery.astype("float32", copy=False)
    distances = whole_matrix.squared_distances(drawn.query, gallery)
    return whole_matrix.evaluate(distances, drawn.of_query, drawn.of_gallery)


def reranked(drawn: Drawn) -> Told:
    """Scores re-ranked distances (20-6) as `--mode=eval` does."""
    labels = Labels(*drawn.of_query), Labels(*drawn.of_gallery)
    query, gallery = {"feature": drawn.query}, {"feature": drawn.gallery}
    rows = rerank_rows(query, gallery, **PRESETS["20-6"])
    return Scores.of(rank_given(rows, *labels, matches(*labels))).as_dict()


def reranked_whole(drawn: Drawn) -> Told:
    """Scores after dense re-ranking (20-6)."""
    gallery = drawn.gallery.astype("float32", copy=False)
    distances = whole_matrix.rerank(drawn.query, gallery)
    return whole_matrix.evaluate(distances, drawn.of_query, drawn.of_gallery)


def measure(
    benchmark: str,
    size: Size,
    ours: Callable[[Drawn], Told],
    peer: Callable[[Drawn], Told] | None,
    peer_name: str,
    timing_of: Callable[[Apart, Apart | None], Timing],
) -> None:
    """Prints the line of one figure."""
    with ExitStack() as stack:
        programs = [
            None if run is None else stack.enter_context(Apart(run, partial(draw, size)))
            for run in (ours, peer)
        ]
        timing = timing_of(*programs)
        own, other = (None if program is None else program.outcome for program in programs)
    # At the end, for a report starts JAX, which would take the GPU that the programs need.
    report(
        benchmark,
        dataclasses.asdict(size),
        timing.first,
        "s",
        other and {"name": peer_name, "value": timing.second, "ratio": timing.ratio},
        pairs_per_s=size.pairs / timing.first,
        **memory_of(own),
        **({} if other is None else {f"peer_{n}": x for n, x in memory_of(other).items()}),
        **own.result,
        largest_difference=other and difference(own.result, other.result),
    )


def memory_of(outcome: Outcome) -> dict[str, float]:
    """Returns what a report says of a program's memory."""
    return {"above_features_mb": outcome.above / MB, "peak_mb": outcome.peak / MB}


def difference(ours: Told, theirs: Told) -> float:
    """Returns the largest difference of the peer's scores; raises RuntimeError if it is not 0."""
    found = max(abs(ours[name] - value) for name, value in theirs.items())
    if not found <= TOLERANCE:
        raise RuntimeError(f"the scores differ by {found}: {ours} here, {theirs} of the peer")
    return float(found)


def once(ours: Apart, peer: Apart | None) -> Timing:
    """Measures one call of each, after a first one of ours that compiles."""
    ours.seconds()
    first = ours.seconds()
    second = None if peer is None else peer.seconds()
    return Timing(first, second, None if second is None else second / first)


def main() -> None:
    """Prints the line of scoring and, where it is asked for, that of re-ranking."""
    options = _options()
    turns = once if options.repeats == 1 else partial(alternate, repeats=options.repeats)
    peer = sorted_whole if options.peer else None
    measure("score", options.size, scored, peer, "NumPy, whole matrix", turns)
    if options.rerank:
        peer = reranked_whole if options.peer else None
        measure("score_rerank", options.size, reranked, peer, "NumPy, dense", once)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--gallery", type=int, default=15913, help="images, without distractors")
    parser.add_argument("--width", type=int, default=3072, help="numbers of a feature")
    parser.add_argument("--identities", type=int, default=750, help="in query and gallery")
    parser.add_argument("--distractors", type=int, default=0, help="further images of nobody")
    parser.add_argument("--storage", choices=("float32", "float16"), default="float32")
    parser.add_argument("--rerank", action="store_true", help="measures re-ranking (20-6) too")
    parser.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--repeats", type=int, default=3, help="measurements of which the median counts"
    )
    options = parser.parse_args()
    try:
        fields = [field.name for field in dataclasses.fields(Size)]
        options.size = Size(**{name: getattr(options, name) for name in fields})
    except ValueError as error:
        parser.error(str(error))
    return options


if __name__ == "__main__":
    main()
