"""A network as ONNX by jax2onnx, weights included; onnxruntime and others run it without JAX."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.export.graph import Run, inputs_of
from dpeformer_jax.model.spec import NetworkSpec

NETWORK = "network.onnx"  # large networks have their weights in a second file, network.onnx.data
OPSETS = range(17, 24)
OPSET = 20


def write(
    folder: Path, graph: Any, variables: Any, spec: NetworkSpec, fixed_size: bool, opset: int
) -> None:
    """Writes NETWORK.

    Raises:
        UserError: jax2onnx is missing.
    """
    try:
        from jax2onnx import to_onnx
    except ModuleNotFoundError as error:
        raise UserError(
            f"--format onnx needs {error.name}: pip install 'dpeformer_jax[onnx]'"
        ) from error
    placed, inputs = jax.tree.map(jnp.asarray, variables), inputs_of(spec, fixed_size)

    def call(*images: jax.Array) -> list[jax.Array]:
        features = graph(placed, *images)
        return [features[name] for name in sorted(features)]

    names = sorted(jax.eval_shape(lambda *images: graph(placed, *images), *inputs))
    # jax2onnx replaces functions of flax and jax.numpy by its own while it traces. Traced before,
    # the network consists of primitives alone, and these it converts as they are.
    primitives = jaxpr_as_fun(jax.make_jaxpr(call)(*inputs))
    with _quiet():
        to_onnx(
            primitives,
            inputs,
            model_name="dpeformer_jax",
            opset=opset,
            return_mode="file",
            output_path=folder / NETWORK,
            input_names=["images", "camera_row"][: len(inputs)],
            output_names=names,
        )
    for file in folder.iterdir():
        file.chmod(0o644)  # jax2onnx leaves the file of the weights to its owner alone


def runner(folder: Path) -> Run:
    """Returns what runs the file: fn(images, camera_row) -> features by name."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / NETWORK, providers=["CPUExecutionProvider"])
    inputs = [given.name for given in session.get_inputs()]
    outputs = [found.name for found in session.get_outputs()]

    def run(*given: Any) -> dict[str, Any]:
        found = session.run(None, dict(zip(inputs, given, strict=True)))
        return dict(zip(outputs, found, strict=True))

    return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences hundreds of warnings about values whose type the file does not need."""
    logger = logging.getLogger("onnx_ir")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
