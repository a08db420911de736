"""Builds the network that a spec defines."""

from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from dpeformer_jax.model.baseline import Baseline
from dpeformer_jax.model.clipreid import CLIPReID
from dpeformer_jax.model.dpeformer import DPEFormer
from dpeformer_jax.model.network import Network
from dpeformer_jax.model.outputs import Outputs
from dpeformer_jax.model.pass_reid import PASS
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.transreid import TransReID

FAMILIES: dict[str, type[Network]] = {
    "dpeformer": DPEFormer,
    "baseline": Baseline,
    "transreid": TransReID,
    "clipreid": CLIPReID,
    "pass": PASS,
}
# Modules that go on where a trunk ends.
LAST_BLOCKS = {name for family in FAMILIES.values() for name in family.last_blocks}


def end_paths(depth: int, module: str = "backbone") -> tuple[str, str]:
    """Returns the paths of a network's last block and of the norm behind it.

    depth: of the backbone; module: one of LAST_BLOCKS where the backbone is a trunk.
    """
    if module == "backbone":
        return f"params/backbone/blocks_{depth - 1}", "params/backbone/norm"
    return f"params/{module}/block", f"params/{module}/norm"


def build_network(spec: NetworkSpec, **running: Any) -> Network:
    """Builds the network; `running`: options of its class beside the spec, such as `remat`."""
    return FAMILIES[spec.family](spec, **running)


def example(spec: NetworkSpec) -> tuple[jax.Array, jax.Array]:
    """Returns an image and a camera row that the network takes."""
    return jnp.zeros((1, *spec.image_size, 3)), jnp.zeros(1, jnp.int32)


def outputs_of(spec: NetworkSpec) -> Outputs:
    """Returns the shapes of what the network gives for one image, by name."""
    network = build_network(spec)
    outputs, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), *example(spec))
    return outputs


def shapes_of(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of all arrays of the network, by path ("params/backbone/cls_token")."""
    variables = jax.eval_shape(build_network(spec).init, jax.random.key(0), *example(spec))
    return {path: leaf.shape for path, leaf in flatten_dict(variables, sep="/").items()}
