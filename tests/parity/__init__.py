"""Compares our numbers with the golden ones: each section is a list of measured rows."""

from collections.abc import Callable

from tests.parity import (
    backbone,
    inputs,
    network,
    occlusion,
    relatives,
    retrieval,
    selection,
    steps,
    training,
)
from tests.parity.comparison import Quantity

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
    "TransReID": relatives.transreid,
    "CLIP-ReID": relatives.clipreid,
    "Ranking": retrieval.ranking,
    "Re-ranking": retrieval.reranking,
}
