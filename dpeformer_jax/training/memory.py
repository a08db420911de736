"""The memory bank: one feature a training identity (arXiv 2402.10435, section 3.4)."""

import jax
import jax.numpy as jnp
import numpy as np

MOMENTUM = 0.2  # share of the old row that one sample leaves


def update(memory: jax.Array, features: jax.Array, labels: jax.Array) -> jax.Array:
    """Moves row y by each of its samples in batch order: row <- 0.2 * row + 0.8 * feature.

    The closed form needs no loop over an identity's m samples: the row keeps 0.2^m, and a sample
    that j more of its identity follow enters with 0.8 * 0.2^j. Features are not normalised.
    memory: [C, F]; features: [B, F]; labels: [B] rows in 0..C-1.
    """
    same = labels[:, None] == labels[None, :]
    followers = jnp.triu(same, k=1).sum(axis=1)
    weights = (1 - MOMENTUM) * MOMENTUM**followers
    occurrences = jnp.zeros(len(memory), jnp.int32).at[labels].add(1)
    kept = memory * (MOMENTUM**occurrences)[:, None]
    return kept.at[labels].add(weights[:, None] * jax.lax.stop_gradient(features))


class ClassMeans:
    """Running sums of features by class, for the first content of the memory bank."""

    def __init__(self, num_classes: int, width: int):
        self._sums = np.zeros((num_classes, width), np.float32)
        self._counts = np.zeros((num_classes, 1), np.float32)

    def add(self, features: jax.Array, labels: np.ndarray) -> None:
        """Adds features [B, F] on the devices, of which the first n count; labels: [n]."""
        weights = np.zeros(len(features), np.float32)
        weights[: len(labels)] = 1
        labels = np.pad(labels, (0, len(features) - len(labels)))
        self._sums, self._counts = _add(self._sums, self._counts, features, labels, weights)

    def mean(self) -> jax.Array:
        """Returns the means [C, F]; every class must have been seen."""
        return self._sums / self._counts


@jax.jit
def _add(sums, counts, features, labels, weights):
    sums = sums.at[labels].add(features * weights[:, None])
    return sums, counts.at[labels, 0].add(weights)
