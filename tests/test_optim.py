"""Schedule and optimisers."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dpeformer_jax.training.optim import LearningRates, Schedule, optimizer
from tests.parity.released import golden


def test_120_learning_rates_equal_the_released_program():
    values = golden("dpeformer_train.npz")
    schedule = Schedule(base=0.008, bias_factor=2.0, epochs=120, warmup_epochs=5)
    rates = np.array([schedule.rates(epoch) for epoch in range(1, 121)])
    np.testing.assert_allclose(rates[:, 0], values["lr_weight"], rtol=1e-6)
    np.testing.assert_allclose(rates[:, 1], values["lr_bias"], rtol=1e-6)


def test_sgd_follows_torchs_rule_with_faster_biases():
    params = {"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array([0.5])}
    grads = {"kernel": jnp.array([0.1, 0.2]), "bias": jnp.array([-0.3])}
    tx = optimizer("sgd", weight_decay=0.1, momentum=0.9)
    state = tx.init(params)
    expected, buffers = dict(params), {name: 0.0 for name in params}
    for rates in (LearningRates(0.1, 0.2), LearningRates(0.05, 0.3)):
        updates, state = tx.update(grads, state, params, learning_rates=rates)
        params = optax.apply_updates(params, updates)
        for name, rate in (("kernel", rates.weights), ("bias", rates.biases)):
            buffers[name] = 0.9 * buffers[name] + grads[name] + 0.1 * expected[name]
            expected[name] = expected[name] - rate * buffers[name]
    for name in params:
        np.testing.assert_allclose(params[name], expected[name], rtol=1e-6)


def test_adamw_decays_apart_from_the_gradient():
    params, zero = {"kernel": jnp.array([2.0])}, {"kernel": jnp.array([0.0])}
    tx = optimizer("adamw", weight_decay=0.1, momentum=0.9)
    updates, _ = tx.update(zero, tx.init(params), params, learning_rates=LearningRates(0.5, 1.0))
    np.testing.assert_allclose(updates["kernel"], [-0.5 * 0.1 * 2.0], rtol=1e-6)


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(KeyError):
        optimizer("lamb", 0.0, 0.9)
