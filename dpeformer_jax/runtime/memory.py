"""Tells a user what to change where the devices' memory is too small."""

import contextlib
from collections.abc import Iterator

import jax

from dpeformer_jax.base.errors import UserError


@contextlib.contextmanager
def memory_explained() -> Iterator[None]:
    """Turns XLA's error about memory into a UserError that lists what helps, by its cost."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            f"the devices' memory is too small: {str(error).splitlines()[0]} In training try "
            "--config.data.cache=auto where it is 'device', then --config.model.dtype=bfloat16, "
            "then --config.train.microbatches=2 or more, then --config.model.remat=True, which "
            "leave the step's batch as it is; last a smaller --config.train.batch_size. In scoring "
            "lower --config.eval.batch_size. A bank of cut-outs (config.views.occluders) lies "
            "there too"
        ) from error
