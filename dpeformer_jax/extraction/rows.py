"""The columns of a file of features, a row a picture.

path, identity, camera: texts, "" where not known; time: float64, seconds since 1970, NaN where not
known. Of people in a video: frame (int64), x, y, w, h (float64, pixels) and track (text). kept:
int32, patches that the network kept, where it chooses some. error: why the picture could not be
read, "" where it could; features are NaN then. Features: float32 [F] each, by name.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.extracted import Extracted
from dpeformer_jax.extraction.items import Box, Item
from dpeformer_jax.features import SELECTED

VERSION = 1
Rows = dict[str, np.ndarray]  # a column [n, ...] by name


@dataclasses.dataclass(frozen=True)
class About:
    """What a file of features says of itself.

    network: fingerprint of the weights; features: the width of each, by name.
    """

    network: str
    features: Mapping[str, int]

    def to_json(self) -> str:
        """Returns it as text."""
        told = {"version": VERSION, "network": self.network, "features": dict(self.features)}
        return json.dumps(told)

    @classmethod
    def from_json(cls, text: str, where: str) -> "About":
        """Reads what `to_json` gave.

        Args:
            where: the file, for messages.

        Raises:
            UserError: a newer version wrote it, or it is damaged.
        """
        try:
            told = json.loads(text)
            version, network, features = told["version"], told["network"], told["features"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{where} does not say which network made it; extract again") from error
        if version > VERSION:
            raise UserError(
                f"{where} has version {version}, and this program knows {VERSION}; update "
                "dpeformer_jax, or extract again"
            )
        return cls(network, features)


def rows_of(items: Sequence[Item], found: Extracted) -> Rows:
    """Returns the columns of pictures and their features."""
    rows = {
        "path": _texts(item.path for item in items),
        "identity": _texts(item.identity for item in items),
        "camera": _texts(item.camera for item in items),
        "time": np.array([item.time for item in items], np.float64),
    }
    if items[0].box is not None:
        rows |= _box_columns([item.box for item in items])
    features = dict(found)
    if (selected := features.pop(SELECTED, None)) is not None:
        rows["kept"] = selected.sum(axis=1, dtype=np.int32)
    rows["error"] = _texts(found.errors.get(row, "") for row in range(len(items)))
    return {**rows, **features}


def _box_columns(boxes: Sequence[Box]) -> Rows:
    columns: dict[str, Any] = dict(zip(Box._fields, zip(*boxes, strict=True), strict=True))
    types = {"frame": np.int64, "track": np.str_}
    return {name: np.array(values, types.get(name, np.float64)) for name, values in columns.items()}


def _texts(values: Any) -> np.ndarray:
    return np.array(list(values), np.str_)
