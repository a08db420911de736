"""Losses by their definitions; the released program's numbers are in test_parity.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.training.objective import (
    TERMS,
    Objective,
    batch_hard_triplet,
    cross_entropy,
    memory_contrast,
)


def random_outputs(seed):
    """Of 8 images, 2 identities and 2 parts."""
    shapes = {"holistic": (8, 6), "parts": (8, 6), "global_token": (8, 6), "each_part": (8, 2, 6)}
    rng = np.random.default_rng(seed)
    logits = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    holistic, parts = rng.standard_normal((2, 8, 10))
    features = {"holistic": holistic, "parts": parts}
    return Outputs(features, logits, features)


@pytest.mark.slow
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


def test_triplet_with_a_margin_forgets_pairs_that_are_far_enough_apart():
    features = np.array([[0.0], [3.0], [4.0], [10.0]], np.float32)
    found = batch_hard_triplet(features, np.array([0, 0, 1, 1]), 0.3)
    np.testing.assert_allclose(found, (0 + 2.3 + 5.3 + 0) / 4, rtol=1e-5)


def test_triplet_has_a_finite_gradient_for_equal_features():
    grad = jax.grad(batch_hard_triplet)(jnp.ones((4, 3)), jnp.array([0, 0, 1, 1]))
    assert np.isfinite(grad).all()


def of_random_outputs(objective, bank=None):
    """Loss and terms of random outputs for two identities."""
    labels = np.repeat([4, 1], 4)
    return objective((random_outputs(0), random_outputs(1)), labels, bank)


BANK = np.random.default_rng(2).standard_normal((6, 10))


@pytest.mark.parametrize("name", TERMS)
def test_the_loss_is_a_sum_of_named_terms_that_the_config_weighs(name):
    factors = {term: 0.25 * place for place, term in enumerate(TERMS, start=1)}
    whole, values = of_random_outputs(Objective(**factors), BANK)
    assert list(values) == list(TERMS)
    np.testing.assert_allclose(whole, sum(factors[n] * values[n] for n in TERMS), rtol=1e-6)
    rest, others = of_random_outputs(Objective(**factors | {name: 0.0}), BANK)
    assert others.keys() == values.keys() - {name}
    np.testing.assert_allclose(whole - rest, factors[name] * values[name], rtol=1e-4, atol=1e-5)


def test_the_terms_are_means_over_views_and_features():
    labels = np.repeat([4, 1], 4)
    views = random_outputs(0), random_outputs(1)
    _, values = of_random_outputs(Objective(triplet=1.0), BANK)
    entropies = [cross_entropy(v.logits[n], labels) for v in views for n in ("holistic", "parts")]
    np.testing.assert_allclose(values["id_features"], np.mean(entropies), rtol=1e-6)
    triplets = [batch_hard_triplet(x, labels) for v in views for x in v.features.values()]
    np.testing.assert_allclose(values["triplet"], np.mean(triplets), rtol=1e-6)
    contrast = memory_contrast(views[1].features["holistic"], BANK, labels, 0.05)
    np.testing.assert_allclose(values["memory_occluded"], contrast, rtol=1e-6)


def test_without_its_terms_no_memory_is_needed():
    assert Objective().needs_memory and Objective(memory_clean=0.0).needs_memory
    objective = Objective(memory_clean=0.0, memory_occluded=0.0)
    assert not objective.needs_memory
    loss, values = of_random_outputs(objective)
    assert np.isfinite(loss) and values.keys() == {"id_features", "id_global", "id_parts"}


def test_a_term_whose_input_a_network_lacks_is_refused_with_one_sentence():
    outputs = random_outputs(0)
    Objective().refuse_lacking(outputs)
    after = {"after": outputs.features["parts"]}
    plain = Outputs(after, {"parts": outputs.logits["parts"]}, after)
    with pytest.raises(UserError, match="config.loss.id_features = 1.0 .* logits.holistic, which"):
        Objective().refuse_lacking(plain)
    without = {"id_features": 0.0, "id_global": 0.0, "id_parts": 0.0}
    with pytest.raises(UserError, match="memory_clean = 1.0 .* features.holistic.*set it to 0"):
        Objective(**without).refuse_lacking(plain)
    Objective(**without, memory_clean=0.0, memory_occluded=0.0, triplet=1.0).refuse_lacking(plain)
