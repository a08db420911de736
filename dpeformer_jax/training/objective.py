"""The training loss: a sum of named terms, which the config weighs (arXiv 2402.10435, section 3.5).

Every term is a function of the outputs for all views, so that a network of another family is
trained by the terms that its outputs allow.
"""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.selection import at_length_1

MEMORY_FEATURE = "holistic"  # the feature whose space the memory bank is in

# The terms, and the outputs that each takes.
TERMS = {
    "id_features": ("logits.holistic", "logits.parts"),
    "id_global": ("logits.global_token",),
    "id_parts": ("logits.each_part",),
    "memory_clean": (f"features.{MEMORY_FEATURE}",),
    "memory_occluded": (f"features.{MEMORY_FEATURE}",),
    "identity": (),  # takes all logits
    "triplet": (),  # takes all that the outputs call metric
}


@dataclasses.dataclass(frozen=True)
class Objective:
    """`config.loss`: factors of the terms, which a factor of 0 leaves out, and their settings.

    configs/default.py explains each; temperature is the paper's tau.
    """

    id_features: float = 1.0
    id_global: float = 2.0
    id_parts: float = 1.0
    memory_clean: float = 1.0
    memory_occluded: float = 0.3
    identity: float = 0.0
    triplet: float = 0.0
    triplet_margin: float = 0.0
    temperature: float = 0.05
    label_smoothing: float = 0.0
    memory_epsilon: float = 0.0

    @property
    def factors(self) -> dict[str, float]:
        """The factors of the terms that count, by name."""
        return {name: getattr(self, name) for name in TERMS if getattr(self, name)}

    @property
    def needs_memory(self) -> bool:
        """Whether a term compares features with the memory bank."""
        return bool(self.memory_clean or self.memory_occluded)

    def refuse_lacking(self, outputs: Outputs) -> None:
        """Raises UserError for a term that counts but has no input in the outputs (or shapes)."""
        given = {f"features.{name}" for name in outputs.features}
        given |= {f"logits.{name}" for name in outputs.logits}
        for name, factor in self.factors.items():
            if lacking := [needed for needed in TERMS[name] if needed not in given]:
                raise UserError(
                    f"config.loss.{name} = {factor} weighs a term of {' and '.join(lacking)}, "
                    "which this network does not give; set it to 0"
                )

    def __call__(
        self, views: Sequence[Outputs], labels: jax.Array, memory: jax.Array | None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the loss of the views' outputs, and its terms before weighing.

        views: the clean one, and the occluded one if there are two.
        labels: [B] identities as 0..C-1; memory: [C, F] bank as it was before this step, or None.
        """

        def identity(*names: str) -> jax.Array:
            logits = [view.logits[name] for view in views for name in names]
            return _mean([cross_entropy(x, labels, self.label_smoothing) for x in logits])

        def contrast(view: Outputs) -> jax.Array:
            feature = view.features[MEMORY_FEATURE]
            return memory_contrast(feature, memory, labels, self.temperature, self.memory_epsilon)

        def triplet(x: jax.Array) -> jax.Array:
            if x.ndim == 2:
                return batch_hard_triplet(x, labels, self.triplet_margin)
            return _mean([triplet(x[:, part]) for part in range(x.shape[1])])

        compute = {
            "id_features": lambda: identity("holistic", "parts"),
            "id_global": lambda: identity("global_token"),
            "id_parts": lambda: identity("each_part"),
            "memory_clean": lambda: contrast(views[0]),
            "memory_occluded": lambda: contrast(views[1]),
            "identity": lambda: identity(*views[0].logits),
            "triplet": lambda: _mean([triplet(x) for view in views for x in view.metric.values()]),
        }
        terms = {name: compute[name]() for name in self.factors}
        return sum(self.factors[name] * term for name, term in terms.items()), terms


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Returns the mean cross-entropy. logits: [B, ..., C]; labels: [B]."""
    labels = labels.reshape(-1, *[1] * (logits.ndim - 2))
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, jnp.broadcast_to(targets, logits.shape)).mean()


def memory_contrast(
    features: jax.Array, bank: jax.Array, labels: jax.Array, temperature: float, epsilon: float = 0
) -> jax.Array:
    """Returns the cross-entropy over cosine similarities to the memory rows, over a temperature.

    features: [B, F]; bank: [C, F]; labels: [B]; epsilon: added to the softmax's denominator and
    to the probability inside the logarithm, 1e-6 in the released program.
    """
    floor = math.log(epsilon) if epsilon else -math.inf
    logits = at_length_1(features) @ at_length_1(bank).T / temperature
    total = jnp.logaddexp(jax.nn.logsumexp(logits, axis=1), floor)
    log_share = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0] - total
    return -jnp.logaddexp(log_share, floor).mean()


def batch_hard_triplet(features: jax.Array, labels: jax.Array, margin: float = 0.0) -> jax.Array:
    """Returns the triplet loss with a batch's hardest pairs (arXiv 1703.07737).

    features: [B, F], compared by Euclidean distance; labels: [B], each at least twice; margin: of
    the distances, 0 for the soft margin.
    """
    square = jnp.sum(features**2, axis=1)
    squared = square[:, None] + square[None, :] - 2 * features @ features.T
    distance = jnp.sqrt(jnp.maximum(squared, 1e-12))
    same = labels[:, None] == labels[None, :]
    farthest_same = jnp.where(same, distance, -jnp.inf).max(axis=1)
    nearest_other = jnp.where(same, jnp.inf, distance).min(axis=1)
    excess = farthest_same - nearest_other
    return (jax.nn.relu(excess + margin) if margin else jax.nn.softplus(excess)).mean()


def _mean(values: list[jax.Array]) -> jax.Array:
    return sum(values) / len(values)
