"""Losses by their definitions; the released program's numbers are in test_parity.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpeformer_jax.model.dpeformer import Logits, Outputs
from dpeformer_jax.training.losses import (
    LossWeights,
    batch_hard_triplet,
    cross_entropy,
    memory_contrast,
    total_loss,
)


def random_outputs(seed):
    """Of 8 images, 2 identities and 2 parts."""
    shapes = {"holistic": (8, 6), "blended": (8, 6), "globe": (8, 6), "parts": (8, 2, 6)}
    rng = np.random.default_rng(seed)
    logits = Logits(**{name: rng.standard_normal(shape) for name, shape in shapes.items()})
    holistic, parts = rng.standard_normal((2, 8, 10))
    return Outputs(holistic, parts, np.zeros((8, 12), bool), logits)


def test_the_memorys_epsilon_is_added_in_both_places():
    rng = np.random.default_rng(0)
    features, bank, labels = rng.standard_normal((4, 6)), rng.standard_normal((9, 6)), np.arange(4)

    def loss(epsilon):
        return memory_contrast(features, bank, labels, 0.05, epsilon)

    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (features, bank)]
    powers = np.exp(unit[0] @ unit[1].T / 0.05)
    for epsilon in (0.0, 1e-6, 1e-3):
        share = powers[labels, labels] / (powers.sum(axis=1) + epsilon)
        np.testing.assert_allclose(loss(epsilon), -np.log(share + epsilon).mean(), rtol=1e-5)
    assert loss(1e-3) < loss(0.0) - 1e-3
    slope = jax.grad(lambda x: memory_contrast(x, bank, labels, 0.05))(jnp.asarray(features))
    assert np.isfinite(slope).all()


def test_smoothing_moves_the_target_towards_all_classes():
    logits, labels = jnp.array([[2.0, 0.0, -1.0]]), jnp.array([0])
    log_p = np.asarray(jax.nn.log_softmax(logits))[0]
    expected = -(0.9 * log_p[0] + 0.1 * log_p.mean())
    np.testing.assert_allclose(cross_entropy(logits, labels, 0.1), expected, rtol=1e-6)


def test_memory_contrast_ignores_lengths():
    rng = np.random.default_rng(0)
    features, bank = rng.standard_normal((4, 6)), rng.standard_normal((3, 6))
    labels = np.array([0, 2, 1, 0])
    once = memory_contrast(features, bank, labels, 0.05)
    np.testing.assert_allclose(memory_contrast(5 * features, 0.1 * bank, labels, 0.05), once, 1e-4)


def test_triplet_takes_the_farthest_same_and_the_nearest_other():
    features = np.array([[0.0], [3.0], [4.0], [10.0]], np.float32)
    labels = np.array([0, 0, 1, 1])
    margins = np.array([3 - 4, 3 - 1, 6 - 1, 6 - 7])
    expected = np.log1p(np.exp(margins)).mean()
    np.testing.assert_allclose(batch_hard_triplet(features, labels), expected, rtol=1e-5)


def test_triplet_has_a_finite_gradient_for_equal_features():
    grad = jax.grad(batch_hard_triplet)(jnp.ones((4, 3)), jnp.array([0, 0, 1, 1]))
    assert np.isfinite(grad).all()


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_weights_enter_the_sum(weight):
    bank = np.random.default_rng(2).standard_normal((6, 10))
    labels = np.repeat([4, 1], 4)
    arguments = (random_outputs(0), random_outputs(1), labels, bank)
    weights = LossWeights(occluded_memory=weight, triplet=weight)
    loss, terms = total_loss(*arguments, weights)
    base, _ = total_loss(*arguments, LossWeights(occluded_memory=0.0))
    extra = terms["memory_occluded"] + terms.get("triplet", 0.0)
    np.testing.assert_allclose(loss - base, weight * extra, rtol=1e-4, atol=1e-5)
