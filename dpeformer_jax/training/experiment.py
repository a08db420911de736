"""The parts of one training, made from plain settings."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import optax
from jax.sharding import Mesh

from dpeformer_jax.features import FeaturePass
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.runtime.devices import replicated
from dpeformer_jax.training.objective import Objective
from dpeformer_jax.training.optim import Schedule
from dpeformer_jax.training.state import TrainState, initial_state


@dataclasses.dataclass(frozen=True)
class ViewSettings:
    """`config.views`: how a picture becomes a clean and an occluded view.

    occlusion: of the occluded view, "roa", "erasing", "rectangle" or "person"; padding: black
    pixels around the picture before the random crop; occluders: where "roa" has its cut-outs from.
    """

    occlusion: str = "roa"
    padding: int = 10
    occluders: str = ""


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """`config.train`: batches, epochs, and what is recorded when. configs/default.py has units."""

    batch_size: int = 64
    microbatches: int = 1
    images_per_identity: int = 4
    epochs: int = 120
    checkpoint_every: int = 10
    checkpoint_every_minutes: float = 10.0
    on_nonfinite: str = "stop"
    log_every: int = 50
    trace: int = 0


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a training is made of.

    network: computes what its spec defines; tx: the optimiser; features: the network's feature
    pass; start: folder of weights to start from, or "".
    seed: of initialisation and augmentation; parallel: "jit" or "pmap"; images_on_device: whether
    the whole training set lies on every device.
    """

    network: nn.Module
    objective: Objective
    tx: optax.GradientTransformationExtraArgs
    schedule: Schedule
    views: ViewSettings
    train: TrainSettings
    features: FeaturePass
    mesh: Mesh
    seed: int = 0
    parallel: str = "jit"
    images_on_device: bool = False
    start: str = ""

    @property
    def spec(self) -> NetworkSpec:
        """Defines the network."""
        return self.network.spec

    def fresh_state(self) -> TrainState:
        """Draws random parameters from the seed, on all devices."""
        create = jax.jit(self._create, out_shardings=replicated(self.mesh))
        return create(jax.random.key(self.seed))

    def state_like(self) -> TrainState:
        """Returns shapes, types and places of the state, for restoring a checkpoint."""
        shapes = jax.eval_shape(self._create, jax.random.key(self.seed))
        place = replicated(self.mesh)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes
        )

    @property
    def _create(self):
        memory = self.objective.needs_memory
        return partial(initial_state, network=self.network, tx=self.tx, with_memory=memory)
