"""Scores a network on test sets."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dpeformer_jax.base.interfaces import LabelledImages, TestSet
from dpeformer_jax.checkpoint.checksums import fingerprint_of
from dpeformer_jax.features import SELECTED, FeaturePass, Features
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.retrieval import verification
from dpeformer_jax.retrieval.calibration import (
    NAME,
    Calibration,
    at_thresholds,
    fits,
    read_calibration,
    thresholds_of,
)
from dpeformer_jax.retrieval.confidence import interval
from dpeformer_jax.retrieval.distances import targets_of
from dpeformer_jax.retrieval.duplicates import duplicates, warn_of_duplicates
from dpeformer_jax.retrieval.per_query import rows_of
from dpeformer_jax.retrieval.protocol import Labels
from dpeformer_jax.retrieval.ranking import Ranked
from dpeformer_jax.retrieval.report import Evaluation
from dpeformer_jax.retrieval.scoring import Scored, Scoring, scores_of
from dpeformer_jax.retrieval.shares import Share

LOG = logging.getLogger(__name__)


def evaluate(
    features: FeaturePass,
    variables: Any,
    spec: NetworkSpec,
    test_sets: Sequence[TestSet],
    scoring: Scoring,
    heading: Mapping[str, Any],
    checkpoint: Path | None = None,
) -> Evaluation:
    """Scores a network on every test set.

    The report holds the heading, the network's spec, the fingerprint of its weights, every setting
    of the evaluation, and the scores by data set.

    Args:
        features, variables, spec: the network's feature pass, weights and definition.
        test_sets: what to score it on.
        scoring: how features are compared.
        heading: what the caller knows of the network, such as its step.
        checkpoint: folder of the weights; the report compares the test sets with the thresholds
            that --mode=calibrate stored there, if there are some.

    Raises:
        UserError: the network embeds the camera and does not know one of a test set's, or the
            stored thresholds are of other weights.
    """
    settings: dict[str, Any] = {"flip": features.flip, **scoring.settings()}
    if spec.mixes_batch:
        settings["batch_size"] = features.batch_size
        LOG.warning(
            "the network's features of an image depend on the others of its batch of %d; these "
            "scores change with config.eval.batch_size and with the order of files",
            features.batch_size,
        )
    weights = fingerprint_of(variables)
    stored = None if checkpoint is None else read_calibration(checkpoint, weights)
    if stored is not None and not fits(stored, settings):
        LOG.warning(
            "%s is of other settings (%s), so its thresholds are not compared with the test sets",
            *(checkpoint / NAME, stored["settings"]),
        )
        stored = None
    datasets, rows = {}, []
    for test in test_sets:
        query, gallery, kept = _features_of(features, variables, spec, test, scoring)
        settings["features"] = list(targets_of(query))
        told, of_queries = _scored(query, gallery, kept, test, scoring, stored)
        datasets[test.name] = {**test.provenance, **told}
        rows += of_queries
    told = {"network": spec.to_json(), "weights": weights, "settings": settings}
    return Evaluation({**heading, **told, "datasets": datasets}, pa.concat_tables(rows))


def _features_of(
    features: FeaturePass, variables: Any, spec: NetworkSpec, test: TestSet, scoring: Scoring
) -> tuple[Features, Share, np.ndarray | None]:
    """Returns the features of the queries, and this process's share of the gallery's.

    The third is the number of patches [Q] that the network kept of each query, if it chooses.
    """
    scaled = scoring.metric == "cosine"

    def inputs(images: LabelledImages) -> tuple[Any, LabelledImages, np.ndarray]:
        return variables, images, spec.rows_of(images.camera_names)[images.camera_rows]

    query = features(*inputs(test.query), None, "query", scaled)
    selected = query.pop(SELECTED, None)
    kept = None if selected is None else selected.sum(axis=1)
    gallery = features.share(*inputs(test.gallery), list(query), "gallery", scaled, scoring.storage)
    return query, Share(*gallery), kept


def _scored(
    query: Features,
    gallery: Share,
    kept: np.ndarray | None,
    test: TestSet,
    scoring: Scoring,
    stored: Calibration | None,
) -> tuple[dict[str, Any], list[pa.Table]]:
    """Returns what eval.json says of a data set, and the rows of its queries."""
    labels = [Labels(of.identities, of.cameras) for of in (test.query, test.gallery)]
    copies = duplicates(test)
    told: dict[str, Any] = {"duplicates": len(copies)}
    if scoring.drop_duplicates:
        gallery = gallery.without(copies)
        labels[1] = labels[1].without(copies)
    else:
        warn_of_duplicates(test, copies, scoring.camera_rule, scoring.looks_around)
    rows = []
    for name, found in scores_of(query, gallery, *labels, scoring):
        told[name] = of_feature(found, labels[0].identities)
        if stored is not None and found.ranked.impostors is not None:
            told[name] |= _at_thresholds(stored, name, found.ranked)
        rows.append(rows_of(test.name, name, test.query, found.scores.ranking, kept))
        counts = found.scores.queries_used, found.scores.queries_skipped
    return told | dict(zip(("queries_used", "queries_skipped"), counts, strict=True)), rows


def of_feature(found: Scored, identities: np.ndarray) -> dict[str, Any]:
    """Returns the scores of a feature as eval.json has them; identities: [Q]."""
    told: dict[str, Any] = found.scores.as_dict()
    ranking = found.scores.ranking
    used = identities[ranking.used]
    for name, values in (("mAP", ranking.precision), ("rank1", ranking.first == 1)):
        ends = interval(values[ranking.used], used)
        told[f"{name}_interval"] = ends and list(ends)
    if found.ranked.impostors is not None:
        told |= verification.as_dict(found.ranked.genuine, found.ranked.impostors)
    if found.single_shot:
        told["single_shot"] = {f"rank{k}": share for k, share in found.single_shot.items()}
    return told


def _at_thresholds(stored: Calibration, name: str, ranked: Ranked) -> dict[str, Any]:
    """Returns what a feature's test pairs show at its stored thresholds; nothing without any."""
    thresholds = thresholds_of(stored, name)
    if not len(thresholds):
        return {}
    accepted = ranked.impostors.at_most(thresholds)
    found = at_thresholds(stored, name, accepted, ranked.impostors.total, ranked.genuine)
    return {"at_thresholds": found}
