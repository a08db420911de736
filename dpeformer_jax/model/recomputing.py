"""What a gradient computes again instead of keeping it, where memory is short."""

from typing import Any

import jax


def recomputed_from(kept: Any, up: jax.Array) -> tuple[Any, jax.Array]:
    """Returns both unchanged, so that what a gradient derives from `kept` is computed again.

    XLA finds that the forward pass has derived the same, and keeps it. On a GPU, short of memory, a
    barrier hides this, and holds the work back until the gradient `up` of the result has come. A
    CPU has the memory, and a TPU plans worse with it.
    """
    barrier = jax.lax.optimization_barrier
    return jax.lax.platform_dependent((kept, up), cuda=barrier, default=lambda both: both)
