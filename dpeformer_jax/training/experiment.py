"""From a config to the parts of a run."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from dpeformer_jax.devices import data_mesh, replicated
from dpeformer_jax.model.description import Description, describe
from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.model.vit import VARIANTS
from dpeformer_jax.retrieval.evaluate import FeatureExtractor, Rerank
from dpeformer_jax.retrieval.rerank import rerank
from dpeformer_jax.training.losses import LossWeights
from dpeformer_jax.training.optim import Schedule, optimizer
from dpeformer_jax.training.state import TrainState, initial_state


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a run is made of; `config` serves its numbers (epochs, intervals)."""

    config: ConfigDict
    mesh: Mesh
    model: DPEFormer
    tx: optax.GradientTransformationExtraArgs
    schedule: Schedule
    loss_weights: LossWeights
    extractor: FeatureExtractor
    rerank: Rerank | None

    @property
    def description(self) -> Description:
        """Of the network, as checkpoints keep it."""
        return describe(self.model, tuple(self.config.data.image_size))

    def fresh_state(self) -> TrainState:
        """Random parameters from the config's seed, on all devices."""
        create = jax.jit(self._create, out_shardings=replicated(self.mesh))
        return create(jax.random.key(self.config.seed))

    def state_like(self) -> TrainState:
        """Shapes, types and places of the state: what restoring a checkpoint needs to know."""
        shapes = jax.eval_shape(self._create, jax.random.key(self.config.seed))
        place = replicated(self.mesh)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes
        )

    def _create(self, key: jax.Array) -> TrainState:
        return initial_state(key, self.model, self.tx, tuple(self.config.data.image_size))


def build(config: ConfigDict, num_classes: int, num_cameras: int) -> Experiment:
    """Builds the network and all that trains it for a training set of that many identities."""
    model = _model(config.model, num_classes, num_cameras, config.train.microbatches)
    optim = config.optim
    mesh = data_mesh()
    return Experiment(
        config=config,
        mesh=mesh,
        model=model,
        tx=optimizer(optim.name, optim.weight_decay, optim.momentum),
        schedule=Schedule(optim.lr, optim.bias_lr_factor, config.train.epochs, optim.warmup_epochs),
        loss_weights=LossWeights(**config.loss.to_dict()),
        extractor=FeatureExtractor(model, mesh, config.eval.batch_size),
        rerank=_rerank(config.eval),
    )


def _rerank(fields: Any) -> Rerank | None:
    settings = {"k1": fields.rerank_k1, "k2": fields.rerank_k2, "weight": fields.rerank_weight}
    return partial(rerank, **settings) if fields.rerank else None


def _model(fields: Any, num_classes: int, num_cameras: int, microbatches: int) -> DPEFormer:
    return DPEFormer(
        variant=VARIANTS[fields.variant],
        stride=fields.stride,
        num_classes=num_classes,
        parts=fields.parts,
        min_patches=fields.min_patches,
        drop_path=fields.drop_path,
        sides=num_cameras if fields.sie else 0,
        side_coefficient=fields.sie_coefficient,
        dtype=jnp.dtype(fields.dtype),
        global_token=fields.global_token,
        pooling=fields.pooling,
        head_merge=fields.head_merge,
        remat=fields.remat,
        attention=fields.attention,
        microbatches=microbatches,
    )
