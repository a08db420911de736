"""Learning-rate schedule and optimisers (the released program's, from FED's solver)."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import optax

from dpeformer_jax.model.families import LAST_BLOCKS


class LearningRates(NamedTuple):
    """Learning rates of one epoch, for weights and for biases."""

    weights: float
    biases: float


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A linear warm-up, then a cosine or steps; constant within an epoch.

    base: rate of the weights; bias_factor: by how much a bias learns faster; epochs: of the whole
    training; warmup_epochs: of the linear part.
    kind: "cosine" starts from 0.01 base and ends at 0.002 base, for weights and biases alike
    (the released program's). "steps" starts from 0.1 of each rate, and from each epoch of `steps`
    on has a tenth of the rate before (CLIP-ReID's).
    """

    base: float
    bias_factor: float
    epochs: int
    warmup_epochs: int
    kind: str = "cosine"
    steps: tuple[int, ...] = ()

    def rates(self, epoch: int) -> LearningRates:
        """Returns the rates of epoch 1..epochs."""
        rate = self._by_steps if self.kind == "steps" else self._by_cosine
        return LearningRates(*(rate(epoch, f * self.base) for f in (1.0, self.bias_factor)))

    def _by_cosine(self, epoch: int, base: float) -> float:
        start, end = 0.01 * self.base, 0.002 * self.base
        if epoch < self.warmup_epochs:
            return start + (base - start) * epoch / self.warmup_epochs
        return end + (base - end) * (1 + math.cos(math.pi * epoch / self.epochs)) / 2

    def _by_steps(self, epoch: int, base: float) -> float:
        done = min(epoch / self.warmup_epochs, 1) if self.warmup_epochs else 1
        return base * (0.1 + 0.9 * done) * 0.1 ** sum(epoch >= step for step in self.steps)


@dataclasses.dataclass(frozen=True)
class PartRates:
    """Factors of the learning rate by the place of a parameter in the network.

    heads: of all that is neither backbone nor a last block; layer_decay: from each block to the one
    below it (arXiv 2106.08254, appendix); depth: blocks of the backbone.
    """

    heads: float = 1.0
    layer_decay: float = 1.0
    depth: int = 0

    def factor(self, path: Sequence[str]) -> float:
        """Returns the factor of a parameter, such as ("backbone", "blocks_0", "mlp", ...)."""
        part, *inside = path
        if part == "projection":  # CLIP's, which comes with the backbone
            return 1.0
        if part != "backbone" and part not in LAST_BLOCKS:
            return self.heads
        name = inside[0]
        if name == "norm":
            return 1.0
        if part in LAST_BLOCKS:
            return self.layer_decay
        block = int(name.removeprefix("blocks_")) if name.startswith("blocks_") else -1
        return self.layer_decay ** (self.depth - block)


ALIKE = PartRates()  # every part learns at the same rates


def optimizer(
    name: str,
    weight_decay: float,
    momentum: float,
    clip_norm: float = 0.0,
    parts: PartRates = ALIKE,
) -> optax.GradientTransformationExtraArgs:
    """Builds the optimiser, whose `update` takes `learning_rates: LearningRates`.

    name: "sgd" or "adam" (decay added to the gradient, as in torch), or "adamw" (decoupled decay);
    weight_decay: on every parameter, norms and biases too; momentum: of SGD; clip_norm: largest
    norm of the whole gradient, 0 for any; parts: factors of the rates.
    """
    decay = optax.add_decayed_weights(weight_decay)
    direction = {
        "sgd": optax.chain(decay, optax.trace(momentum)),
        "adam": optax.chain(decay, optax.scale_by_adam()),
        "adamw": optax.chain(optax.scale_by_adam(), decay),
    }[name]
    clip = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    return optax.chain(*clip, direction, _descend(parts))


def _descend(parts: PartRates) -> optax.GradientTransformationExtraArgs:
    def update(updates, state, params=None, *, learning_rates: LearningRates, **_):
        def step(path, direction):
            names = [key.key for key in path]
            is_bias = names[-1] == "bias"
            rate = learning_rates.biases if is_bias else learning_rates.weights
            factor = parts.factor(names)
            return -direction * (rate if factor == 1 else rate * factor)

        return jax.tree_util.tree_map_with_path(step, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
