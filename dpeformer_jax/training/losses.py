"""Losses of DPEFormer (arXiv 2402.10435, section 3.5): arrays in, scalar and terms out."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import optax

from dpeformer_jax.model.dpeformer import Outputs


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Factors of the loss.

    temperature: of the memory's softmax (tau); occluded_memory: of the occluded view's memory
    term; label_smoothing: share of the target spread over all identities; triplet: of the
    soft-margin triplet loss, 0 in the released program; memory_epsilon: see memory_contrast.
    """

    temperature: float = 0.05
    occluded_memory: float = 0.3
    label_smoothing: float = 0.0
    triplet: float = 0.0
    memory_epsilon: float = 0.0


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Mean cross-entropy. logits: [B, ..., C]; labels: [B]."""
    labels = labels.reshape(-1, *[1] * (logits.ndim - 2))
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
    return optax.softmax_cross_entropy(logits, jnp.broadcast_to(targets, logits.shape)).mean()


def memory_contrast(
    features: jax.Array,
    memory: jax.Array,
    labels: jax.Array,
    temperature: float,
    epsilon: float = 0.0,
) -> jax.Array:
    """Cross-entropy over cosine similarities to the memory rows, divided by the temperature.

    Args:
        features: [B, F]; memory: [C, F]; labels: [B].
        temperature: of the softmax.
        epsilon: added to the softmax's denominator and to the probability inside the logarithm,
            1e-6 in the released program.
    """
    floor = math.log(epsilon) if epsilon else -math.inf
    logits = _unit(features) @ _unit(memory).T / temperature
    total = jnp.logaddexp(jax.nn.logsumexp(logits, axis=1), floor)
    log_share = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0] - total
    return -jnp.logaddexp(log_share, floor).mean()


def batch_hard_triplet(features: jax.Array, labels: jax.Array) -> jax.Array:
    """Soft-margin triplet loss with the hardest pairs of the batch (arXiv 1703.07737).

    features: [B, F], compared by Euclidean distance; labels: [B], each at least twice.
    """
    square = jnp.sum(features**2, axis=1)
    squared = square[:, None] + square[None, :] - 2 * features @ features.T
    distance = jnp.sqrt(jnp.maximum(squared, 1e-12))
    same = labels[:, None] == labels[None, :]
    farthest_same = jnp.where(same, distance, -jnp.inf).max(axis=1)
    nearest_other = jnp.where(same, jnp.inf, distance).min(axis=1)
    return jax.nn.softplus(farthest_same - nearest_other).mean()


def total_loss(
    clean: Outputs, occluded: Outputs, labels: jax.Array, memory: jax.Array, weights: LossWeights
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The training loss and its unweighted terms.

    Args:
        clean, occluded: outputs for the two views of B images.
        labels: [B].
        memory: [C, P * D], as it was before this step.
    """
    views = (clean.logits, occluded.logits)

    def identity(*logits: jax.Array) -> jax.Array:
        losses = [cross_entropy(x, labels, weights.label_smoothing) for x in logits]
        return sum(losses) / len(losses)

    def contrast(outputs: Outputs) -> jax.Array:
        return memory_contrast(
            outputs.holistic, memory, labels, weights.temperature, weights.memory_epsilon
        )

    terms = {
        "id_features": identity(*(x for v in views for x in (v.holistic, v.blended))),
        "id_global": identity(*(v.globe for v in views)),
        "id_parts": identity(*(v.parts for v in views)),
        "memory_clean": contrast(clean),
        "memory_occluded": contrast(occluded),
    }
    loss = terms["id_features"] + 2 * terms["id_global"] + terms["id_parts"]
    loss += terms["memory_clean"] + weights.occluded_memory * terms["memory_occluded"]
    if weights.triplet:
        features = (clean.holistic, occluded.holistic, clean.parts, occluded.parts)
        terms["triplet"] = sum(batch_hard_triplet(x, labels) for x in features) / len(features)
        loss += weights.triplet * terms["triplet"]
    return loss, terms


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
