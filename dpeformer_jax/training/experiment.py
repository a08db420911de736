"""The parts of one training, made from plain settings, and the state that its steps carry."""

import dataclasses
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jax.stages import Wrapped

from dpeformer_jax.features import FeaturePass
from dpeformer_jax.model.families import example
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.runtime.devices import replicated, within
from dpeformer_jax.training.objective import MEMORY_FEATURE, Objective
from dpeformer_jax.training.optim import Schedule

ONE_VIEW = "none"  # in place of an occlusion: training sees the clean view alone


@dataclasses.dataclass(frozen=True)
class ViewSettings:
    """`config.views`, see configs/default.py: how a picture becomes two views, or ONE_VIEW."""

    occlusion: str = "roa"
    padding: int = 10
    jitter: float = 0.1
    occluders: str = ""
    erasing: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """`config.train`, see configs/default.py: batches, epochs, and what is recorded when."""

    batch_size: int = 64
    microbatches: int = 1
    images_per_identity: int = 4
    epochs: int = 120
    checkpoint_every: int = 10
    checkpoint_every_minutes: float = 10.0
    on_nonfinite: str = "stop"
    log_every: int = 50
    trace: int = 0


@flax.struct.dataclass
class TrainState:
    """What training carries from step to step.

    step: int32 scalar, steps done; params: trained parameters; batch_stats: running statistics of
    the norms; memory: [C, F] the memory bank, or None; opt_state: of the optimiser.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    memory: jax.Array | None
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """The network's variables."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    @property
    def items(self) -> dict[str, Any]:
        """The state as the items of a checkpoint."""
        memory = {} if self.memory is None else {"memory": {"features": self.memory}}
        training = {"step": self.step, "opt_state": self.opt_state}
        return {"variables": self.variables, **memory, "training": training}

    @classmethod
    def from_items(cls, items: dict[str, Any]) -> "TrainState":
        """Returns the state whose `items` these are."""
        memory = items.get("memory", {"features": None})["features"]
        return cls(memory=memory, **items["variables"], **items["training"])


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
        return self.creation(jax.random.key(self.seed))

    @property
    def creation(self) -> Wrapped:
        """The program that draws a fresh state from a key."""
        create = within(self.mesh, self._create)
        return jax.jit(create, out_shardings=replicated(self.mesh))

    def state_like(self) -> TrainState:
        """Returns shapes, types and places of the state, for restoring a checkpoint."""
        shapes = jax.eval_shape(self._create, jax.random.key(self.seed))
        place = replicated(self.mesh)
        return jax.tree.map(lambda x: x.update(sharding=place), shapes)

    def _create(self, key: jax.Array) -> TrainState:
        """Draws parameters; the memory bank, where the objective needs one, is empty."""
        outputs, variables = self.network.init_with_output(key, *example(self.spec))
        memory = None
        if self.objective.needs_memory:
            width = outputs.features[MEMORY_FEATURE].shape[1]
            memory = jnp.zeros((self.spec.num_classes, width))
        opt_state = self.tx.init(variables["params"])
        return TrainState(jnp.zeros((), jnp.int32), memory=memory, opt_state=opt_state, **variables)
