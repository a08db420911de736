"""Turns a config into the plain settings that each room takes; no other file reads a config."""

import dataclasses
from typing import Any

from jax.sharding import Mesh
from ml_collections import ConfigDict

from data.dataset_spec import DataSettings
from data.pipeline import Sampling
from dpeformer_jax.features import FeaturePass
from dpeformer_jax.model.attention import attention_for
from dpeformer_jax.model.families import build_network, outputs_of
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.retrieval.calibrate import CalibrateSettings
from dpeformer_jax.retrieval.rerank import PRESETS
from dpeformer_jax.retrieval.scoring import Scoring
from dpeformer_jax.runtime.devices import data_mesh
from dpeformer_jax.runtime.processes import Distributed
from dpeformer_jax.training.experiment import Experiment, TrainSettings, ViewSettings
from dpeformer_jax.training.objective import Objective
from dpeformer_jax.training.optim import PartRates, Schedule, optimizer

SPEC_FIELDS = (
    *("family", "variant", "stride", "parts", "min_patches", "sie_coefficient", "dtype"),
    *("global_token", "pooling", "head_merge"),
    *("selection", "similarity", "count", "bands", "blending"),
    *("projection", "fusion", "token_necks"),
)


def distributed_of(config: ConfigDict) -> Distributed:
    """Returns how the processes find each other."""
    return Distributed(**config.distributed)


def data_settings_of(config: ConfigDict) -> DataSettings:
    """Returns what the data room takes."""
    return DataSettings(**config.data)


def sampling_of(config: ConfigDict) -> Sampling:
    """Returns the P x K sampling of the training set."""
    group = config.train.images_per_identity
    return Sampling(config.train.batch_size // group, group, config.seed)


def views_of(config: ConfigDict) -> ViewSettings:
    """Returns how a picture becomes two views."""
    return ViewSettings(**config.views)


def calibrate_of(config: ConfigDict) -> CalibrateSettings:
    """Returns what thresholds are found on, and for which false-accept rates."""
    return CalibrateSettings(**config.calibrate)


def scoring_of(config: ConfigDict) -> Scoring:
    """Returns how features are compared, and what is reported."""
    names = [field.name for field in dataclasses.fields(Scoring) if field.name != "rerank"]
    return Scoring(rerank=_rerank_of(config), **{name: config.eval[name] for name in names})


def _rerank_of(config: ConfigDict) -> dict[str, float] | None:
    if config.eval.rerank_preset:
        return PRESETS[config.eval.rerank_preset]
    if not config.eval.rerank:
        return None
    return {name: config.eval[f"rerank_{name}"] for name in ("k1", "k2", "weight")}


def spec_of(config: ConfigDict, num_classes: int, cameras: tuple) -> NetworkSpec:
    """Returns the network for a training set of so many identities and those cameras."""
    cameras = cameras if config.model.sie else ()
    return NetworkSpec(
        image_size=tuple(config.data.image_size),
        num_classes=num_classes,
        sie_rows=len(cameras),
        cameras=cameras,
        **{name: config.model[name] for name in SPEC_FIELDS},
    )


def fields_of(spec: NetworkSpec) -> dict[str, Any]:
    """Returns the config fields that a network's spec decides, the inverse of `spec_of`."""
    fields = {f"model.{name}": getattr(spec, name) for name in SPEC_FIELDS}
    return {**fields, "model.sie": spec.sie_rows > 0, "data.image_size": spec.image_size}


def feature_pass_of(config: ConfigDict, spec: NetworkSpec, mesh: Mesh | None = None) -> FeaturePass:
    """Returns the feature pass that scores are computed by; mesh: None for all devices."""
    mesh = data_mesh() if mesh is None else mesh
    attention = attention_for(spec, mesh.devices.flat[0], config.model.attention)
    network = build_network(spec, attention=attention)
    return FeaturePass(network, mesh, config.eval.batch_size, flip=config.eval.flip)


def schedule_of(config: ConfigDict) -> Schedule:
    """Returns the learning rates by epoch."""
    optim, epochs = config.optim, config.train.epochs
    fixed = optim.lr, optim.bias_lr_factor, epochs, optim.warmup_epochs
    return Schedule(*fixed, optim.schedule, tuple(optim.steps))


def experiment_of(
    config: ConfigDict, num_classes: int, cameras: tuple, mesh: Mesh | None = None
) -> Experiment:
    """Returns all that a training is made of, for a training set as in `spec_of`.

    mesh: of the devices; None for all.

    Raises:
        UserError: a loss term counts that the network has no input for.
    """
    spec, optim = spec_of(config, num_classes, cameras), config.optim
    objective = Objective(**config.loss)
    objective.refuse_lacking(outputs_of(spec))
    rates = PartRates(optim.head_lr_factor, optim.layer_decay, VARIANTS[spec.variant].depth)
    mesh = data_mesh() if mesh is None else mesh
    running = {name: config.model[name] for name in ("drop_path", "remat", "scan")}
    running["attention"] = attention_for(spec, mesh.devices.flat[0], config.model.attention)
    return Experiment(
        network=build_network(spec, microbatches=config.train.microbatches, **running),
        objective=objective,
        tx=optimizer(optim.name, optim.weight_decay, optim.momentum, optim.clip_norm, rates),
        schedule=schedule_of(config),
        views=views_of(config),
        train=TrainSettings(**config.train),
        features=feature_pass_of(config, spec, mesh),
        mesh=mesh,
        seed=config.seed,
        parallel=config.parallel,
        images_on_device=config.data.cache == "device",
        start=config.init.checkpoint,
    )
