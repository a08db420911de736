"""Schedule and optimisers."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from dpeformer_jax.training.optim import LearningRates, PartRates, Schedule, optimizer
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


def test_adam_follows_torch_with_decay_in_the_gradient(torch):
    start, grads = np.array([1.0, -2.0, 0.5]), np.random.default_rng(0).standard_normal((4, 3))
    theirs = torch.nn.Parameter(torch.tensor(start))
    optimiser = torch.optim.Adam([theirs], lr=0.1, weight_decay=0.2)
    ours = {"head": {"kernel": jnp.array(start)}}
    tx = optimizer("adam", weight_decay=0.2, momentum=0.9)
    state = tx.init(ours)
    for grad in grads:
        theirs.grad = torch.tensor(grad)
        optimiser.step()
        rates = LearningRates(0.1, 0.1)
        given = {"head": {"kernel": jnp.array(grad)}}
        updates, state = tx.update(given, state, ours, learning_rates=rates)
        ours = optax.apply_updates(ours, updates)
    np.testing.assert_allclose(ours["head"]["kernel"], theirs.detach().numpy(), rtol=1e-5)


def test_lower_blocks_learn_slower_and_heads_faster():
    parts = PartRates(heads=10.0, layer_decay=0.5, depth=2)
    factors = {
        ("classifier", "kernel"): 10,
        ("neck", "scale"): 10,
        ("projection", "kernel"): 1,
        ("backbone", "norm", "scale"): 1,
        ("backbone", "blocks_1", "mlp", "fc1", "kernel"): 0.5,
        ("backbone", "blocks_0", "mlp", "fc1", "bias"): 0.25,
        ("backbone", "pos_embed"): 0.125,
        ("backbone", "patch_embed", "kernel"): 0.125,
        ("last", "norm", "bias"): 1,
        ("jigsaw_last", "block", "attn", "qkv", "kernel"): 0.5,
    }
    assert {path: parts.factor(path) for path in factors} == factors
    params = unflatten_dict({path: jnp.ones(2) for path in factors})
    tx = optimizer("sgd", 0.0, 0.0, parts=parts)
    rates = LearningRates(0.1, 0.2)
    updates, _ = tx.update(params, tx.init(params), params, learning_rates=rates)
    for path, update in flatten_dict(updates).items():
        rate = 0.2 if path[-1] == "bias" else 0.1
        np.testing.assert_allclose(update, -rate * factors[path], rtol=1e-6)


def test_without_factors_every_part_learns_alike():
    assert {PartRates().factor(path) for path in (("backbone", "pos_embed"), ("neck",))} == {1}


def test_the_whole_gradient_is_clipped():
    grads = {"a": {"kernel": jnp.array([3.0, 0.0])}, "b": {"bias": jnp.array([4.0])}}
    tx = optimizer("sgd", 0.0, 0.0, clip_norm=0.5)
    updates, _ = tx.update(grads, tx.init(grads), grads, learning_rates=LearningRates(1.0, 1.0))
    np.testing.assert_allclose(updates["a"]["kernel"], [-0.3, 0], atol=1e-6)
    np.testing.assert_allclose(updates["b"]["bias"], [-0.4], atol=1e-6)


def test_rates_by_steps_are_clip_reids():
    schedule = Schedule(5e-6, 2.0, epochs=60, warmup_epochs=10, kind="steps", steps=(30, 50))
    rates = [schedule.rates(epoch) for epoch in range(1, 61)]
    warm = [5e-6 * (0.1 * (1 - epoch / 10) + epoch / 10) for epoch in range(1, 10)]
    expected = [*warm, *[5e-6] * 20, *[5e-7] * 20, *[5e-8] * 11]
    np.testing.assert_allclose([rate.weights for rate in rates], expected, rtol=1e-9)
    np.testing.assert_allclose([rate.biases for rate in rates], 2 * np.array(expected), rtol=1e-9)
