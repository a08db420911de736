"""Random variables for a module, without the time that compiling its `init` takes."""

import jax
import numpy as np

POSITIVE = ("scale", "var")  # of norms


def random_variables(model, *inputs):
    """All leaves of `model.init` at random values, none of them special."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(1)

    def leaf(path, shape):
        value = 0.1 + 0.2 * np.abs(rng.standard_normal(shape.shape))
        if path[-1].key not in POSITIVE:
            value *= rng.choice([-1, 1], shape.shape)
        return value.astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, shapes)
