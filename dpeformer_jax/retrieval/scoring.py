"""From the features of a test set to its scores, by every way that is asked for."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

from dpeformer_jax.features import Features
from dpeformer_jax.retrieval.distances import MEMORY_MB, targets_of
from dpeformer_jax.retrieval.expansion import expand
from dpeformer_jax.retrieval.given_distances import rank_given
from dpeformer_jax.retrieval.metrics import RANKS, Scores
from dpeformer_jax.retrieval.protocol import Labels, matches
from dpeformer_jax.retrieval.ranking import Ranked, rank
from dpeformer_jax.retrieval.rerank import rerank_rows
from dpeformer_jax.retrieval.shares import Share
from dpeformer_jax.retrieval.single_shot import single_shot_cmc


@dataclasses.dataclass(frozen=True)
class Scoring:
    """`config.eval`, see configs/default.py: how features are compared, and what is reported."""

    metric: str = "cosine"
    camera_rule: bool = True
    drop_duplicates: bool = False
    single_shot: int = 0
    expand: int = 0
    expand_alpha: float = 3.0
    rerank: Mapping[str, float] | None = None
    storage: str = "float32"
    memory_mb: int = MEMORY_MB

    @property
    def looks_around(self) -> bool:
        """Whether a score depends on gallery images that the protocol removes."""
        return bool(self.expand or self.rerank)

    def settings(self) -> dict[str, Any]:
        """Returns what scores depend on: of re-ranking always, of the rest what is not usual."""
        usual = Scoring()
        told = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in ("memory_mb", "rerank") and value != getattr(usual, name)
        }
        return {"rerank": self.rerank} | told


class Scored(NamedTuple):
    """One feature's scores, the ranks that they are of, and the CMC of one image a person or {}."""

    scores: Scores
    ranked: Ranked
    single_shot: dict[int, float]

    @classmethod
    def of(cls, ranked: Ranked) -> Self:
        """Returns the scores of ranks; raises ValueError where no query has a match."""
        return cls(Scores.of(ranked), ranked, {})


def scores_of(
    query: Features, gallery: Share, of_query: Labels, of_gallery: Labels, scoring: Scoring
) -> Iterator[tuple[str, Scored]]:
    """Yields each feature's scores by its name, and others as NAME_expanded and NAME_reranked.

    Args:
        query: [Q, F] by name; gallery: this process's share.
        of_query, of_gallery: [Q] and [G]; JUNK for gallery images that no share holds.

    Raises:
        ValueError: no query has a match, or a feature is not finite.
    """
    sides = query, gallery, of_query, of_gallery
    pairs = matches(of_query, of_gallery, scoring.camera_rule)
    memory = {"memory_mb": scoring.memory_mb}
    ranked = rank(*sides, pairs=pairs, **memory, title="ranking")
    found = {name: Scored.of(of) for name, of in ranked.items()}
    drawn = {}
    if scoring.single_shot:
        asked = {"draws": scoring.single_shot, "ranks": RANKS, "title": "drawing galleries"}
        drawn = single_shot_cmc(*sides, pairs, **asked, **memory)
    whole = gallery.joined() if scoring.rerank else None
    for name, members in targets_of(query).items():
        yield name, found[name]._replace(single_shot=drawn.get(name, {}))
        ours = {member: query[member] for member in members}
        others = gallery.of(members)
        if scoring.expand:
            asked = scoring.expand, scoring.expand_alpha
            joined = expand(ours, others, *asked, **memory, title=f"expanding {name}")
            of_all = {"targets": {name: members}, "pairs": pairs}
            again = rank(joined, others, of_query, of_gallery, **of_all, **memory)
            yield f"{name}_expanded", Scored.of(again[name])
        if whole is not None:
            labels = of_query, of_gallery.at(whole.places)
            kept = matches(*labels, scoring.camera_rule)
            features = whole.of(members).features
            shown = {"title": f"re-ranking {name}"}
            rows = rerank_rows(ours, features, **scoring.rerank, **memory, **shown)
            yield f"{name}_reranked", Scored.of(rank_given(rows, *labels, kept))
