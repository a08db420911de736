"""One line of a table of names: an array of another program, and its place among ours."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Transform(NamedTuple):
    """Changes of layout, from theirs to ours and back."""

    ours: Callable[[np.ndarray], np.ndarray]
    theirs: Callable[[np.ndarray], np.ndarray]


SAME = Transform(lambda x: x, lambda x: x)
DENSE = Transform(np.transpose, np.transpose)  # [out, in] -> [in, out]
CONV = Transform(lambda x: x.transpose(2, 3, 1, 0), lambda x: x.transpose(3, 2, 0, 1))  # from OIHW
ROW = Transform(lambda x: x[0], lambda x: x[None])  # without the first axis, of length 1
BARE = Transform(lambda x: x[None], lambda x: x[0])  # with such an axis


class Entry(NamedTuple):
    """One array of another program, and its place among ours.

    key: its name there; path: of our array, levels joined by "/"; slot: index of its place in our
    array, where several of theirs make up one of ours.
    """

    key: str
    path: str
    transform: Transform = SAME
    slot: tuple = ()


def dense(key: str, path: str, bias: bool = True, slot: tuple = ()) -> list[Entry]:
    """Lists a linear layer."""
    kernel = Entry(f"{key}.weight", f"{path}/kernel", DENSE, slot)
    return [kernel, Entry(f"{key}.bias", f"{path}/bias", SAME, slot)] if bias else [kernel]


def norm(key: str, path: str, slot: tuple = ()) -> list[Entry]:
    """Lists a LayerNorm."""
    names = {"weight": "scale", "bias": "bias"}
    return [Entry(f"{key}.{x}", f"{path}/{ours}", SAME, slot) for x, ours in names.items()]


def part_norm(key: str, name: str, part: int = 0) -> list[Entry]:
    """Lists a BatchNorm, which is one part of our PartNorm of that name."""
    slot = (part,)
    return [
        Entry(f"{key}.weight", f"params/{name}/scale", SAME, slot),
        Entry(f"{key}.bias", f"batch_stats/{name}/bias", SAME, slot),
        Entry(f"{key}.running_mean", f"batch_stats/{name}/mean", SAME, slot),
        Entry(f"{key}.running_var", f"batch_stats/{name}/var", SAME, slot),
    ]
