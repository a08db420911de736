"""What the distance of two pictures is made of, piece by piece."""

from collections.abc import Sequence

import numpy as np

from dpeformer_jax.features import Features
from dpeformer_jax.model.network import Network


def contributions(
    network: Network, members: Sequence[str], one: Features, other: Features
) -> dict[str, float]:
    """Returns what each piece adds to the squared distance of two pictures, in float64.

    The values add up to the distance that pictures are ranked by: the mean over the members.

    Args:
        members: features that are compared together.
        one, other: [F] of each picture, as they are compared: with cosine distances at length 1.
    """
    told = {}
    for member in members:
        squares = np.square(np.subtract(one[member], other[member], dtype=np.float64))
        start = 0
        for name, width in network.pieces(member).items():
            told[name] = float(squares[start : start + width].sum()) / len(members)
            start += width
        if start != len(squares):
            raise ValueError(f"{member} has {len(squares)} numbers, and its pieces {start}")
    return told
