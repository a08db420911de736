"""What the tests of convert_weights.py share: state_dicts of the right shapes, and tokens."""

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from dpeformer_jax.checkpoint.weights import load_weights
from dpeformer_jax.conversion.mapping import shapes_of_theirs
from dpeformer_jax.model.families import shapes_of
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.model.vit import VisionTransformer


def random_state(table, spec, seed=0):
    """Arrays under the names of a table, of the shapes that the network needs."""
    rng = np.random.default_rng(seed)
    shapes = shapes_of_theirs(table, shapes_of(spec))
    return {
        key: (0.2 * rng.standard_normal(shape)).astype(np.float32) for key, shape in shapes.items()
    }


def tensors(torch, state):
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


def flat_params(path):
    return flatten_dict(load_weights(path).variables, sep="/")


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)


def our_tokens(params, variant, images, stride=None):
    network = VisionTransformer(VARIANTS[variant], stride or VARIANTS[variant].patch)
    with jax.default_matmul_precision("highest"):
        return np.asarray(jax.jit(network.apply)({"params": params}, images))


def timm_tokens(network, torch, images):
    with torch.inference_mode():
        return network.forward_features(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
