"""Losses against the released program's numbers and by their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import released
from benchmarks.released import golden
from dpeformer_jax.model.dpeformer import Logits, Outputs
from dpeformer_jax.training.losses import (
    LossWeights,
    batch_hard_triplet,
    cross_entropy,
    memory_contrast,
    total_loss,
)


def released_outputs(values):
    """The golden training forward as our two Outputs."""

    def view(index):
        parts = [values[f"score/{6 + 4 * index + part:02d}"] for part in range(4)]
        logits = Logits(
            holistic=values[f"score/{index:02d}"],
            blended=values[f"score/{2 + index:02d}"],
            globe=values[f"score/{4 + index:02d}"],
            parts=np.stack(parts, axis=1),
        )
        holistic, blended = (values[f"x{index + 1}_{name}"] for name in ("bn", "new"))
        return Outputs(holistic, blended, np.zeros((8, 128), bool), logits)

    return view(0), view(1)


def test_terms_equal_the_released_program():
    values = golden("dpeformer_train.npz")
    clean, occluded = released_outputs(values)
    loss, terms = total_loss(
        clean, occluded, values["labels"], released.memory_bank(), LossWeights(memory_epsilon=1e-6)
    )
    names = {
        "id_features": "id_global4",
        "id_global": "id_cls2",
        "id_parts": "id_parts8",
        "memory_clean": "contrast_view1",
        "memory_occluded": "contrast_view2",
    }
    for ours, theirs in names.items():
        np.testing.assert_allclose(terms[ours], values[f"steps/{theirs}"][0], atol=1e-4)
    np.testing.assert_allclose(loss, values["steps/total"][0], atol=1e-4)


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
    values = golden("dpeformer_train.npz")
    clean, occluded = released_outputs(values)
    arguments = (clean, occluded, values["labels"], released.memory_bank())
    weights = LossWeights(occluded_memory=weight, triplet=weight)
    loss, terms = total_loss(*arguments, weights)
    base, _ = total_loss(*arguments, LossWeights(occluded_memory=0.0))
    extra = terms["memory_occluded"] + terms.get("triplet", 0.0)
    np.testing.assert_allclose(loss - base, weight * extra, rtol=1e-4, atol=1e-5)
