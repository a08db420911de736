"""Golden numbers against ours, a module a subject: every section is a list of measured rows."""

from collections.abc import Callable

from benchmarks.parity import (
    backbone,
    inputs,
    network,
    occlusion,
    retrieval,
    selection,
    steps,
    training,
)
from benchmarks.parity.comparison import Quantity

SECTIONS: dict[str, Callable[[], list[Quantity]]] = {
    "Weights and images": inputs.rule,
    "Position embedding": inputs.positions,
    "Backbone": backbone.backbone,
    "timm's backbone and its checkpoint": backbone.timm,
    "Selection": selection.selection,
    "Evaluation, released program": network.released_evaluation,
    "Evaluation, paper": network.paper_evaluation,
    "Recipe": training.recipe,
    "Training, first forward pass": training.forward,
    "Training, five steps": steps.steps,
    "Occlusion": occlusion.occlusion,
    "Ranking": retrieval.ranking,
    "Re-ranking": retrieval.reranking,
}
