"""Opens a trained network with a config's test sets: how scores and pictures of it begin."""

import copy
import dataclasses
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from configs import unpack
from configs.checks import check
from configs.parsing import adopt
from data.dataset import Dataset, load_dataset
from dpeformer_jax.base.errors import UserError, some
from dpeformer_jax.base.interfaces import TestSet
from dpeformer_jax.checkpoint.checksums import fingerprint_of
from dpeformer_jax.checkpoint.weights import (
    CHECKPOINTS,
    Weights,
    load_weights,
    workdir_of,
)
from dpeformer_jax.features import FeaturePass
from dpeformer_jax.model.families import outputs_of
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.retrieval.distances import targets_of
from dpeformer_jax.retrieval.report import stored_report
from dpeformer_jax.retrieval.scoring import Scoring
from dpeformer_jax.retrieval.verdict import Judge, read_judge
from dpeformer_jax.runtime.devices import data_mesh, replicated
from dpeformer_jax.training.workdir import (
    check_data,
    recorded_data,
    recorded_names,
    recorded_pictures,
)

LOG = logging.getLogger("configs.opened_network")


@dataclasses.dataclass(frozen=True)
class OpenedNetwork:
    """A trained network, ready to run, and the test sets.

    weights: as they are on disk; spec: defines the network, with its cameras' names; variables: on
    the devices; source: what eval.json says of where the weights are from.
    """

    weights: Weights
    spec: NetworkSpec
    variables: Any
    features: FeaturePass
    tests: Sequence[TestSet]
    source: dict[str, Any]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the weights."""
        return fingerprint_of(self.weights.variables)

    @property
    def runs(self) -> tuple[FeaturePass, Any, NetworkSpec]:
        """What computes features: the pass, its weights, its definition."""
        return self.features, self.variables, self.spec

    @property
    def targets(self) -> dict[str, tuple[str, ...]]:
        """What is ranked: each feature, and several together; see targets_of."""
        return targets_of(outputs_of(self.spec).features)


def open_network(config: ConfigDict, workdir: Path, checkpoint: str | None) -> OpenedNetwork:
    """Opens the workdir's newest checkpoint, or another, and the config's test sets.

    The config adopts what the network's spec decides.

    Raises:
        UserError: there is no such checkpoint, the user set a field to another value, or the test
            sets cannot be opened.
    """
    weights, source = chosen_weights(workdir, checkpoint)
    adopt(config, unpack.fields_of(weights.spec), weights.spec)
    return _opened(config, workdir, weights, source)


def open_another(config: ConfigDict, workdir: Path) -> OpenedNetwork:
    """Opens another workdir's network on the same test sets, at its own size of pictures."""
    weights, source = chosen_weights(workdir, None)
    own = copy.deepcopy(config)
    own.update_from_flattened_dict(unpack.fields_of(weights.spec))
    return _opened(own, workdir, weights, source)


def _opened(
    config: ConfigDict, workdir: Path, weights: Weights, source: dict[str, Any]
) -> OpenedNetwork:
    trained_in = workdir_of(weights.folder)
    check(config, jax.device_count(), jax.default_backend(), training=False)
    spec = weights.spec
    # A workdir of version 1 only counts its cameras, and so does a file of another program; the
    # training set names them.
    unnamed = spec.unnamed_cameras and (trained_in == workdir or weights.converted)
    sampling = unpack.sampling_of(config) if unnamed else None
    settings, names = unpack.data_settings_of(config), recorded_names(trained_in)
    dataset = load_dataset(settings, config.eval.datasets, sampling, names)
    warn_of_trained_pictures(dataset.tests, recorded_pictures(trained_in))
    if unnamed and weights.converted:
        spec = with_assumed_cameras(spec, dataset)
    elif unnamed:
        check_data(workdir, recorded_data(workdir) | {"datasets": dataset.provenance})
        spec = spec.with_cameras(dataset.train.camera_names)
    variables = jax.device_put(weights.variables, replicated(data_mesh()))
    features = unpack.feature_pass_of(config, spec)
    return OpenedNetwork(weights, spec, variables, features, dataset.tests, source)


def with_assumed_cameras(spec: NetworkSpec, dataset: Dataset) -> NetworkSpec:
    """Names a converted network's cameras by those of the training set in their order; says so."""
    cameras = dataset.train.camera_names
    LOG.warning(
        "the converted network does not name the %d cameras that it embeds; they are taken for "
        "%s, the cameras of this config's training set",
        *(spec.sie_rows, some([f"{name} {number}" for name, number in cameras])),
    )
    return spec.with_cameras(cameras)


def chosen_weights(workdir: Path, checkpoint: str | None) -> tuple[Weights, dict[str, Any]]:
    """Reads the checkpoint to score; returns it and what eval.json says of where it is from."""
    if not (workdir / CHECKPOINTS).exists():
        # A workdir where another's checkpoint was scored names it.
        checkpoint = checkpoint or stored_report(workdir / "eval.json").get("checkpoint")
        if checkpoint is None:
            raise UserError(
                f"--workdir={workdir} holds no checkpoint; train first, or score "
                "one from elsewhere by --checkpoint"
            )
    elif checkpoint is not None:
        raise UserError(
            f"--workdir={workdir} holds a training of its own, which --checkpoint would leave "
            "out; leave out --checkpoint, or choose another --workdir for it"
        )
    weights = load_weights(Path(checkpoint or workdir))
    weights.refuse_incomplete()
    source = {} if checkpoint is None else {"checkpoint": str(weights.folder)}
    trained_on = recorded_data(workdir_of(weights.folder))
    return weights, source | ({"trained_on": trained_on} if trained_on else {})


def warn_of_trained_pictures(tests: Sequence[TestSet], trained: set[bytes]) -> None:
    """Warns where a test set shows pictures that were trained on, known by their SHA-256."""
    for test in tests:
        digests = [*test.query.digests, *test.gallery.digests]
        if shared := sum(digest in trained for digest in digests):
            LOG.warning(
                "%s: %d of its %d pictures were trained on, so its scores are too high",
                *(test.name, shared, len(digests)),
            )


def judge_of(network: OpenedNetwork, feature: str, scoring: Scoring) -> Judge:
    """Returns the calibrated thresholds of a feature, none where it is compared otherwise.

    Raises:
        UserError: the calibration beside the weights is damaged, or of others.
    """
    if scoring.metric != "cosine" or network.features.flip:
        return Judge(reason="thresholds are of cosine distances without config.eval.flip")
    return read_judge(network.weights.folder, network.fingerprint, feature)
