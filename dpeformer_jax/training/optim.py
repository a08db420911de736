"""Learning-rate schedule and optimisers (the released program's, from FED's solver)."""

import dataclasses
import math
from typing import NamedTuple

import jax
import optax


class LearningRates(NamedTuple):
    """Learning rates of one epoch, for weights and for biases."""

    weights: float
    biases: float


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A linear warm-up, then a cosine; constant within an epoch.

    base: rate of the weights; bias_factor: by how much a bias learns faster; epochs: of the whole
    training; warmup_epochs: of the linear part. The rate starts from 0.01 base and ends at 0.002
    base, for weights and biases alike.
    """

    base: float
    bias_factor: float
    epochs: int
    warmup_epochs: int

    def rates(self, epoch: int) -> LearningRates:
        """Returns the rates of epoch 1..epochs."""
        return LearningRates(*(self._rate(epoch, f * self.base) for f in (1.0, self.bias_factor)))

    def _rate(self, epoch: int, base: float) -> float:
        start, end = 0.01 * self.base, 0.002 * self.base
        if epoch < self.warmup_epochs:
            return start + (base - start) * epoch / self.warmup_epochs
        return end + (base - end) * (1 + math.cos(math.pi * epoch / self.epochs)) / 2


def optimizer(
    name: str, weight_decay: float, momentum: float
) -> optax.GradientTransformationExtraArgs:
    """Builds SGD or AdamW, whose `update` takes `learning_rates: LearningRates`.

    name: "sgd" (decay added to the gradient, as in torch) or "adamw" (decoupled decay);
    weight_decay: on every parameter, norms and biases too; momentum: of SGD.
    """
    decay = optax.add_decayed_weights(weight_decay)
    direction = {
        "sgd": optax.chain(decay, optax.trace(momentum)),
        "adamw": optax.chain(optax.scale_by_adam(), decay),
    }[name]
    return optax.chain(direction, _descend())


def _descend() -> optax.GradientTransformationExtraArgs:
    def update(updates, state, params=None, *, learning_rates: LearningRates, **_):
        def step(path, direction):
            is_bias = path[-1].key == "bias"
            return -direction * (learning_rates.biases if is_bias else learning_rates.weights)

        return jax.tree_util.tree_map_with_path(step, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
