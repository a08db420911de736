"""Compares the kernel for TPUs over this process's devices with plain attention."""

import jax
import numpy as np
from jax.experimental.pallas import tpu

from dpeformer_jax.model.attention import fused, plain
from dpeformer_jax.runtime.devices import data_mesh, replicated, split_by_example, within

HEADS = 2


def with_gradient(program, qkv):
    """Returns the result, and the gradient of a sum with fixed random factors."""
    mixed, back = jax.vjp(lambda x: program(x, HEADS), qkv)
    return mixed, *back(jax.random.normal(jax.random.key(1), mixed.shape, mixed.dtype))


def main():
    mesh = data_mesh()
    for images, sharding in ((8, split_by_example(mesh)), (1, replicated(mesh))):
        qkv = jax.device_put(jax.random.normal(jax.random.key(0), (images, 9, 48)), sharding)
        with tpu.force_tpu_interpret_mode():
            program = jax.jit(within(mesh, lambda x: with_gradient(fused, x)))
            assert "all-gather" not in program.lower(qkv).compile().as_text()
            found = program(qkv)
        for ours, expected in zip(found, with_gradient(plain, qkv), strict=True):
            assert ours.sharding.is_equivalent_to(sharding, 3)
            np.testing.assert_allclose(ours, expected, atol=1e-5)
        print(f"{images} images on {mesh.size}")


if __name__ == "__main__":
    main()
