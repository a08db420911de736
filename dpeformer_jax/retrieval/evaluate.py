"""Scores a network on test sets."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pyarrow as pa

from dpeformer_jax.base.interfaces import LabelledImages, TestSet
from dpeformer_jax.checkpoint.checksums import fingerprint, fingerprints
from dpeformer_jax.features import SELECTED, FeaturePass, Features, at_unit_length
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.retrieval import metrics
from dpeformer_jax.retrieval.metrics import Labels, Scores
from dpeformer_jax.retrieval.per_query import rows_of
from dpeformer_jax.retrieval.report import Evaluation
from dpeformer_jax.retrieval.rerank import rerank

LOG = logging.getLogger(__name__)


def evaluate(
    features: FeaturePass,
    variables: Any,
    spec: NetworkSpec,
    test_sets: Sequence[TestSet],
    reranking: Mapping[str, Any] | None,
    heading: Mapping[str, Any],
) -> Evaluation:
    """Scores a network on every test set.

    The report holds the heading, the network's spec, the fingerprint of its weights, every setting
    of the evaluation, and the scores by data set.

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
    datasets, rows = {}, []
    for test in test_sets:
        query, gallery, kept = _features_of(features, variables, spec, test)
        settings["features"] = list(query)
        found = dict(_scores(query, gallery, test, reranking))
        datasets[test.name] = {**test.provenance, **_told(found)}
        rows += [rows_of(test.name, n, test.query, s.ranking, kept) for n, s in found.items()]
    weights = fingerprint(fingerprints(jax.device_get(variables)))
    told = {"network": spec.to_json(), "weights": weights, "settings": settings}
    return Evaluation({**heading, **told, "datasets": datasets}, pa.concat_tables(rows))


def _features_of(
    features: FeaturePass, variables: Any, spec: NetworkSpec, test: TestSet
) -> tuple[Features, Features, np.ndarray | None]:
    """Returns the features of query and gallery at length 1 and, of several, their concatenation.

    The third is the number of patches [Q] that the network kept of each query, if it chooses.
    """

    def found(images: LabelledImages, title: str, names: Sequence[str] | None = None) -> Features:
        rows = spec.rows_of(images.camera_names)[images.camera_rows]
        return features(variables, images, rows, names, title)

    query = found(test.query, "query")
    selected = query.pop(SELECTED, None)
    gallery = found(test.gallery, "gallery", list(query))
    kept = None if selected is None else selected.sum(axis=1)
    return at_unit_length(query), at_unit_length(gallery), kept


def _scores(
    query: Features, gallery: Features, test: TestSet, reranking: Mapping[str, Any] | None
) -> Iterator[tuple[str, Scores]]:
    """Yields each feature's scores by its name, and re-ranked ones as NAME_reranked."""
    labels = [Labels(images.identities, images.cameras) for images in (test.query, test.gallery)]
    for name, features in query.items():
        yield name, metrics.score(features, gallery[name], *labels)
        if reranking is not None:
            distances = rerank(features, gallery[name], **reranking)
            yield f"{name}_reranked", metrics.score_distances(distances.__getitem__, *labels)


def _told(found: Mapping[str, Scores]) -> dict[str, Any]:
    """Returns what eval.json says of a data set's scores."""
    first, *_ = found.values()
    counts = {"queries_used": first.queries_used, "queries_skipped": first.queries_skipped}
    return {name: scores.as_dict() for name, scores in found.items()} | counts
