"""The memory bank: its update and its first content."""

import jax
import numpy as np
import pytest

from dpeformer_jax.training import memory
from tests.parity import released
from tests.parity.released import golden

LABELS = {
    "each once": [3, 1, 0, 2],
    "in groups": [2, 2, 2, 2, 0, 0, 0, 0],
    "mixed": [1, 0, 1, 1, 4, 0, 1, 4],
    "all one": [3] * 6,
}


def sequential(bank, features, labels):
    bank = bank.copy()
    for feature, label in zip(features, labels, strict=True):
        bank[label] = 0.2 * bank[label] + 0.8 * feature
    return bank


@pytest.mark.parametrize("case", LABELS)
def test_closed_form_equals_the_sequential_rule(case):
    rng, labels = np.random.default_rng(0), np.array(LABELS[case])
    bank, features = rng.standard_normal((5, 7)), rng.standard_normal((len(labels), 7))
    updated = jax.jit(memory.update)(bank.astype(np.float32), features.astype(np.float32), labels)
    np.testing.assert_allclose(updated, sequential(bank, features, labels), atol=1e-6)


def test_one_step_equals_the_released_program():
    values = golden("dpeformer_train.npz")
    bank = released.memory_bank()
    updated = np.asarray(memory.update(bank, values["x1_bn"], values["labels"]))
    rows = values["memory_labels"]
    np.testing.assert_allclose(updated[rows], values["memory_rows1"], atol=3e-5)
    others = np.setdiff1d(np.arange(702), rows)
    np.testing.assert_array_equal(updated[others], bank[others])


def test_no_gradient_flows_into_the_bank():
    features = np.ones((2, 3), np.float32)
    grad = jax.grad(lambda x: memory.update(np.zeros((2, 3)), x, np.array([0, 1])).sum())
    assert not np.any(grad(features))


def test_class_means_ignore_padding():
    rng = np.random.default_rng(1)
    features = rng.standard_normal((6, 3)).astype(np.float32)
    labels = np.array([0, 1, 0, 1, 1])
    means = memory.ClassMeans(2, 3)
    for part in (slice(0, 3), slice(3, 6)):  # the last feature is padding
        means.add(features[part], labels[part])
    expected = [features[[0, 2]].mean(axis=0), features[[1, 3, 4]].mean(axis=0)]
    np.testing.assert_allclose(means.mean(), expected, atol=1e-6)
