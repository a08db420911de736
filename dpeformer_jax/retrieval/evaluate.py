"""Scores a network on test sets."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from dpeformer_jax.base.interfaces import LabelledImages, TestSet
from dpeformer_jax.checkpoint.checksums import fingerprint, fingerprints
from dpeformer_jax.features import SELECTED, FeaturePass, Features, at_unit_length
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.retrieval import metrics
from dpeformer_jax.retrieval.metrics import Labels
from dpeformer_jax.retrieval.rerank import rerank

LOG = logging.getLogger(__name__)


def evaluate(
    features: FeaturePass,
    variables: Any,
    spec: NetworkSpec,
    test_sets: Sequence[TestSet],
    reranking: Mapping[str, Any] | None,
    heading: Mapping[str, Any],
) -> dict[str, Any]:
    """Scores a network on every test set and returns the content of eval.json.

    It holds the heading, the network's spec, the fingerprint of its weights, every setting of the
    evaluation, and the scores by data set.

    Args:
        features, variables, spec: the network's feature pass, weights and definition.
        test_sets: what to score it on.
        reranking: k1, k2 and weight of the k-reciprocal re-ranking that is scored too, or None.
        heading: what the caller knows of the network, such as its step.

    Raises UserError where the network embeds the camera and does not know one of a test set's.
    """
    settings: dict[str, Any] = {"flip": features.flip, "rerank": reranking}
    if spec.mixes_batch:
        settings["batch_size"] = features.batch_size
        LOG.warning(
            "the network's features of an image depend on the others of its batch of %d; these "
            "scores change with config.eval.batch_size and with the order of files",
            features.batch_size,
        )
    datasets = {}
    for test in test_sets:
        query, gallery = (
            _features_of(features, variables, spec, images, title)
            for images, title in ((test.query, "query"), (test.gallery, "gallery"))
        )
        settings["features"] = list(query)
        labels = [
            Labels(images.identities, images.cameras) for images in (test.query, test.gallery)
        ]
        datasets[test.name] = {**test.provenance, **_scores(query, gallery, *labels, reranking)}
    weights = fingerprint(fingerprints(jax.device_get(variables)))
    told = {"network": spec.to_json(), "weights": weights, "settings": settings}
    return {**heading, **told, "datasets": datasets}


def _features_of(
    features: FeaturePass, variables: Any, spec: NetworkSpec, images: LabelledImages, title: str
) -> Features:
    """Returns the features at length 1 and, of several, their concatenation."""
    rows = spec.rows_of(images.camera_names)[images.camera_rows]
    found = features(variables, images, rows, title=title)
    found.pop(SELECTED, None)
    return at_unit_length(found)


def _scores(
    query: Features,
    gallery: Features,
    of_query: Labels,
    of_gallery: Labels,
    reranking: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Returns {NAME: {mAP, ...}, "queries_used", "queries_skipped"}; re-ranked: NAME_reranked."""
    result: dict[str, Any] = {}
    for name, features in query.items():
        scores = metrics.score(features, gallery[name], of_query, of_gallery)
        result[name] = scores.as_dict()
        if reranking is not None:
            distances = rerank(features, gallery[name], **reranking)
            reranked = metrics.score_distances(distances.__getitem__, of_query, of_gallery)
            result[f"{name}_reranked"] = reranked.as_dict()
    counts = {"queries_used": scores.queries_used, "queries_skipped": scores.queries_skipped}
    return result | counts
