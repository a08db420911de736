"""Compares the geometry and the pixels of a pasted cut-out."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from data.occluders import TALL
from dpeformer_jax.training.occlusion import box_of, extents, paste
from tests.parity.comparison import Quantity, Rows, unequal


def occlusion() -> list[Quantity]:
    """Compares each case under the random numbers that the released program drew."""
    rows = Rows("occlusion.npz")
    for case in range(6):
        if f"case{case}/output" in rows.values:
            _add_case(rows, f"case{case}/", f"case {case}")
    return rows


def _add_case(rows: Rows, prefix: str, name: str) -> None:
    crop, person, calls = (
        rows.values[f"{prefix}{key}"] for key in ("mask_image", "person_image", "randint_calls")
    )
    tall = crop.shape[0] / crop.shape[1] > TALL
    drawn, corner = calls[:, 2]
    shortest, longest = (x[int(tall)] for x in extents(np.array(person.shape[:2])))
    ranges = np.array([[shortest, longest, drawn], [0, 3, corner]])
    rows.add(f"{name}: range of the size", 0, {f"{prefix}randint_calls": ranges}, unequal)
    bottom_right = np.array(divmod(corner, 2), bool)  # top or bottom, then left or right
    box, layer = jax.device_get(_placed(crop, tall, drawn, bottom_right, person.shape))
    top, left, height, width = (int(x) for x in box)
    inside = layer[top : top + height, left : left + width]
    rows.add(f"{name}: resized", 1e-5, {f"{prefix}resized": inside})
    # The released program shows the person where an element is 0, ours by the cut-out's alpha.
    pasted = np.where(layer == 0, person, layer)
    rows.add(f"{name}: pasted", 1e-5, {f"{prefix}output": pasted})


@partial(jax.jit, static_argnames="shape")
@jax.default_matmul_precision("highest")
def _placed(
    crop: jax.Array,
    tall: bool,
    drawn: int,
    bottom_right: jax.Array,
    shape: tuple[int, ...],
) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Returns the mirrored crop's box, and the crop stretched to it on black."""
    box = box_of(jnp.array(shape[:2]), tall, jnp.full(2, drawn), bottom_right)
    opaque = jnp.concatenate([crop[:, ::-1], jnp.ones((*crop.shape[:2], 1))], axis=2)
    return box, paste(jnp.zeros(shape), opaque, box)
