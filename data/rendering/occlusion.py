"""Places an occluder so that it hides a wanted share of a person."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

LEAST, MOST = 0.33, 0.56  # wanted hidden share; steps of a pixel may add a few percent
GROWTH, GROWTH_STEPS = 1.2, 10
HALF_PERSON = 40  # half the width of a person in pixels


@dataclass(frozen=True)
class Approach:
    """The sides ("below", "left", "right") that a kind comes from, and its height in pixels."""

    sides: tuple[str, ...]
    shortest: float
    tallest: float


APPROACHES = {
    "car": Approach(("below", "left", "right"), 150, 190),
    "bush": Approach(("below", "left", "right"), 150, 220),
    "board": Approach(("below", "left", "right"), 170, 230),
    "bin": Approach(("below", "left", "right"), 150, 210),
    "pole": Approach(("left", "right"), 300, 330),
    "person": Approach(("left", "right"), 236, 290),
}


def occlude(
    silhouette: np.ndarray, kind: str, cutout: Image.Image, rng: np.random.Generator
) -> tuple[Image.Image, float]:
    """Places a cut-out in front of a person.

    `silhouette` [H, W] is the person's coverage (0 .. 1) of each pixel. Returns the placed cut-out
    as an RGBA layer of the same size and the share of the silhouette that it hides, about LEAST ..
    MOST. Raises ValueError if even the largest cut-out hides too little.
    """
    approach = APPROACHES[kind]
    side = approach.sides[rng.integers(len(approach.sides))]
    height = rng.uniform(approach.shortest, approach.tallest)
    wanted, shift = rng.uniform(LEAST, MOST), rng.uniform(-1.0, 1.0)
    for step in range(GROWTH_STEPS):
        # Each step enlarges a thing that hides too little and moves it towards the centre.
        thing = _resized(cutout, height * GROWTH**step)
        path = _Path(silhouette, thing, side, shift / 2**step)
        if path.hidden(path.length) >= wanted:
            return path.place_for(wanted)
    raise ValueError(
        f"the {kind} hides less than {wanted:.2f} of the person at every size tried; "
        "use a wider or less transparent cut-out"
    )


def _resized(cutout: Image.Image, height: float) -> Image.Image:
    size = (max(1, round(cutout.width * height / cutout.height)), round(height))
    return cutout.resize(size, Image.Resampling.BILINEAR)


class _Path:
    """The path of a thing from just outside the picture (0) to its last place (length)."""

    def __init__(self, silhouette: np.ndarray, thing: Image.Image, side: str, shift: float):
        self.silhouette, self.thing = silhouette, thing
        self.alpha = thing.getchannel("A")
        self.total = float(silhouette.sum())
        rows, columns = silhouette.shape
        middle = float(silhouette.sum(axis=0) @ np.arange(columns)) / self.total
        stop = round(middle - thing.width / 2)
        if side == "below":
            # The thing stops on the lower edge, where it hides most. Either end of a wide thing may
            # be near the person.
            slack = max(thing.width / 2 - HALF_PERSON, 0.0)
            self.start = (stop + round(shift * slack), rows)
            self.step, self.length = (0, -1), min(thing.height, rows)
        else:
            # The thing reaches the lower edge or below it and stops in front of the person.
            top = max(rows - thing.height, 0)
            start = columns if side == "right" else -thing.width
            self.start, self.length = (start, top), abs(stop - start)
            self.step = (-1, 0) if side == "right" else (1, 0)

    def hidden(self, distance: int) -> float:
        """Returns the share of the silhouette hidden after a distance in pixels."""
        layer = Image.new("L", self.silhouette.shape[::-1])
        layer.paste(self.alpha, self._corner(distance))
        return float((self.silhouette * np.asarray(layer)).sum()) / (255 * self.total)

    def place_for(self, wanted: float) -> tuple[Image.Image, float]:
        """Returns the layer that first hides the share `wanted`, and the share that it hides."""
        before, after = 0, self.length
        while after - before > 1:
            halfway = (before + after) // 2
            if self.hidden(halfway) >= wanted:
                after = halfway
            else:
                before = halfway
        layer = Image.new("RGBA", self.silhouette.shape[::-1])
        layer.paste(self.thing, self._corner(after))
        return layer, self.hidden(after)

    def _corner(self, distance: int) -> tuple[int, int]:
        (left, top), (across, down) = self.start, self.step
        return left + across * distance, top + down * distance
