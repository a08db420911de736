"""The programs of attention: their numbers, their gradients, and which one a device takes."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu

from dpeformer_jax.model import attention
from dpeformer_jax.model.attention import attention_for, cudnn, fused, plain
from tests.fused_on_devices import HEADS, with_gradient
from tests.many_devices import environment_with
from tests.toy import toy_spec

ROOT = Path(__file__).parents[1]


def random_projections(batch, tokens, size=8, dtype=jnp.float32):
    shape = batch, tokens, 3 * HEADS * size
    return jax.random.normal(jax.random.key(tokens), shape, dtype)


@pytest.mark.parametrize("tokens", [1, 9, 129, 211])
@pytest.mark.parametrize(("dtype", "close"), [("float32", 2e-6), ("bfloat16", 2e-2)])
def test_the_kernel_for_tpus_computes_the_plain_numbers(tokens, dtype, close):
    qkv = random_projections(3, tokens, dtype=dtype)
    with tpu.force_tpu_interpret_mode():
        found = with_gradient(fused, qkv)
    for ours, expected in zip(found, with_gradient(plain, qkv), strict=True):
        assert ours.dtype == expected.dtype
        np.testing.assert_allclose(np.float32(ours), np.float32(expected), atol=close, rtol=close)


@pytest.mark.parametrize("tokens", [8, 9, 129])
def test_cudnn_gets_even_numbers_of_tokens_and_the_same_numbers_come_back(tokens, monkeypatch):
    """With JAX's own program of the same meaning instead of cuDNN's, which needs a GPU."""
    anywhere, seen = jax.nn.dot_product_attention, []

    def instead(query, key, value, implementation, **lengths):
        assert implementation == "cudnn"
        seen.append(query.shape[1])
        return anywhere(query, key, value, **lengths)

    monkeypatch.setattr(jax.nn, "dot_product_attention", instead)
    qkv = random_projections(3, tokens)
    for ours, expected in zip(with_gradient(cudnn, qkv), with_gradient(plain, qkv), strict=True):
        np.testing.assert_allclose(ours, expected, atol=2e-6)
    assert seen == [tokens + tokens % 2]


@pytest.mark.parametrize("devices", [1, 4])
def test_each_device_runs_the_kernel_on_its_own_images(devices):
    """In a process of that many devices; one image, as at initialisation, on each of them."""
    environment = environment_with(devices)
    line = [sys.executable, "-m", "tests.fused_on_devices"]
    told = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [f"8 images on {devices}", f"1 images on {devices}"]


def test_a_cpu_takes_xla_without_a_word(caplog):
    assert attention_for(toy_spec(), jax.devices()[0]) == "xla"
    assert attention_for(toy_spec(), jax.devices()[0], "xla") == "xla"
    assert not caplog.records


def test_what_a_device_cannot_compute_falls_back_with_a_reason(caplog):
    for _ in range(2):  # for the training, then for its feature pass
        assert attention_for(toy_spec(), jax.devices()[0], "cudnn") == "xla"
    told = caplog.text
    assert told.count("\n") == 1 and "'xla' and not by 'cudnn', which fails: " in told


@pytest.mark.parametrize(
    ("platform", "dtype", "name"),
    [
        ("gpu", "bfloat16", "cudnn"),
        ("gpu", "float32", "xla"),
        ("tpu", "float32", "fused"),
        ("tpu", "bfloat16", "fused"),
        ("cpu", "bfloat16", "xla"),
    ],
)
def test_the_leanest_program_by_platform(platform, dtype, name):
    assert attention._leanest(platform, dtype) == name
