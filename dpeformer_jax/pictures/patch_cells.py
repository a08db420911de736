"""Where the patches of a network lie on its pictures."""

import numpy as np

from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.model.variants import VARIANTS


def cells(spec: NetworkSpec) -> np.ndarray:
    """Returns the left and top pixel [N, 2] of each patch's cell, in raster order.

    A cell is as large as the stride, in the middle of its patch, so that the cells of overlapping
    patches do not overlap.
    """
    rows, columns = spec.grid
    inset = (VARIANTS[spec.variant].patch - spec.stride) / 2
    top, left = np.mgrid[:rows, :columns].reshape(2, -1) * spec.stride + inset
    return np.stack([left, top], axis=1)
