"""Surfaces through horizontal rings: torsos, skulls, skirts and bags."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from .canvas import SHADOW, Canvas, Point
from .wardrobe import Colour


class Ring(NamedTuple):
    """A horizontal ellipse: height, half width (x), half depth (z) and centre (x, z)."""

    y: float
    width: float
    depth: float
    x: float = 0.0
    z: float = 0.0


class Outline(NamedTuple):
    """A ring projected to the picture.

    The pixel at an azimuth is (column + along_x * sine + ahead_x * cosine, row + along_y * sine +
    ahead_y * cosine). `facing` is the azimuth at the middle of the visible half.
    """

    column: float
    row: float
    along_x: float
    along_y: float
    ahead_x: float
    ahead_y: float
    facing: float

    def pixel(self, azimuth: float) -> tuple[float, float]:
        """Returns the pixel (column, row) at an azimuth."""
        sine, cosine = math.sin(azimuth), math.cos(azimuth)
        return (
            self.column + self.along_x * sine + self.ahead_x * cosine,
            self.row + self.along_y * sine + self.ahead_y * cosine,
        )

    def arc(self, low: float, high: float) -> list[tuple[float, float]]:
        """Returns pixels along the ring between two azimuths; a longer arc has more pixels."""
        steps = 1 + int(4 * (high - low) / math.pi)
        return [self.pixel(low + (high - low) * step / steps) for step in range(steps + 1)]

    def span(self, azimuth: float, half: float) -> tuple[float, float]:
        """Returns the visible range within `half` of an azimuth; an empty range has low >= high."""
        if half >= math.pi:
            return self.facing - math.pi / 2, self.facing + math.pi / 2
        offset = math.remainder(azimuth - self.facing, math.tau)
        low, high = max(offset - half, -math.pi / 2), min(offset + half, math.pi / 2)
        return self.facing + low, self.facing + high


class RingSurface:
    """A surface through rings; a place on it is (azimuth, height).

    Azimuth is in radians: 0 is the front, pi/2 the person's left and pi the back.
    """

    def __init__(self, canvas: Canvas, rings: Sequence[Ring]):
        self.canvas = canvas
        self.rings = sorted(rings)
        self._heights = [ring.y for ring in self.rings]
        self._outlines: dict[float, Outline] = {}
        self.bottom, self.top = self._heights[0], self._heights[-1]

    def sees(self, azimuth: float, y: float) -> bool:
        """Returns whether the place faces the viewer."""
        return abs(math.remainder(azimuth - self._outline(y).facing, math.tau)) < math.pi / 2

    def fill(self, colour: Colour) -> None:
        """Fills the whole surface with one colour and adds it to the silhouette."""
        self.solid(0.0, math.pi, self.top, self.bottom, colour)

    def solid(self, azimuth: float, half: float, top: float, bottom: float, colour: Colour) -> None:
        """Paints the visible part of a patch, such as hair, and adds it to the silhouette."""
        pixels = self._region(azimuth, half, top, bottom)
        if pixels:
            self.canvas.solid(pixels, colour)

    def patch(
        self, azimuth: float, half: float, top: float, bottom: float, colour: Colour, alpha=255
    ) -> None:
        """Paints the visible part of a patch, `half` radians to both sides of an azimuth.

        `half` is at most pi/2, or pi for a belt all around.
        """
        pixels = self._region(azimuth, half, top, bottom)
        if pixels:
            self.canvas.detail(pixels, colour, alpha)

    def shape(self, places: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Paints a polygon of (azimuth, height) places, clipped to the visible half."""
        pixels = []
        for azimuth, y in places:
            outline = self._outline(y)
            offset = math.remainder(azimuth - outline.facing, math.tau)
            visible = min(max(offset, -math.pi / 2), math.pi / 2)
            pixels.append(outline.pixel(outline.facing + visible))
        self.canvas.detail(pixels, colour)

    def shadow(self) -> None:
        """Darkens the side away from the light and, slightly, the opposite edge."""
        middle = self._outline((self.top + self.bottom) / 2).facing
        side = -1.0 if self.canvas.light > 0 else 1.0
        edge = middle + side * math.pi / 2
        for half, alpha in ((1.2, 36), (0.65, 42)):
            self.patch(edge, half, self.top, self.bottom, SHADOW, alpha)
        self.patch(middle - side * math.pi / 2, 0.4, self.top, self.bottom, SHADOW, 26)

    def place(self, azimuth: float, y: float, lift: float = 0.0) -> Point:
        """Returns the point in space at a place, `lift` outside the surface."""
        ring = self._ring(y)
        return (
            ring.x + (ring.width + lift) * math.sin(azimuth),
            y,
            ring.z + (ring.depth + lift) * math.cos(azimuth),
        )

    def _ring(self, y: float) -> Ring:
        """Returns the interpolated ring at height `y`, clamped to the ends of the surface."""
        y = min(max(y, self.bottom), self.top)
        above = min(max(bisect_right(self._heights, y), 1), len(self.rings) - 1)
        low, high = self.rings[above - 1], self.rings[above]
        share = (y - low.y) / (high.y - low.y)
        return Ring(
            *(start + share * (stop - start) for start, stop in zip(low, high, strict=True))
        )

    def _outline(self, y: float) -> Outline:
        if y not in self._outlines:
            ring = self._ring(y)
            (across, across_down), (ahead, ahead_down) = self.canvas.unit_x, self.canvas.unit_z
            column, row = self.canvas.project((ring.x, ring.y, ring.z))
            along_x, ahead_x = ring.width * across, ring.depth * ahead
            # The rightmost place is a quarter turn from the middle of the visible half.
            facing = math.atan2(along_x, ahead_x) - math.pi / 2
            self._outlines[y] = Outline(
                column,
                row,
                along_x,
                ring.width * across_down,
                ahead_x,
                ring.depth * ahead_down,
                facing,
            )
        return self._outlines[y]

    def _region(
        self, azimuth: float, half: float, top: float, bottom: float
    ) -> list[tuple[float, float]]:
        """Returns the border pixels of the visible part; empty if a ring of the patch is hidden."""
        inner = self._heights[bisect_right(self._heights, bottom) : bisect_left(self._heights, top)]
        outlines = [self._outline(y) for y in (top, *reversed(inner), bottom)]
        spans = []
        for outline in outlines:
            low, high = outline.span(azimuth, half)
            if low >= high:
                return []
            spans.append((low, high))
        middle = list(zip(outlines, spans, strict=True))[1:-1]
        return [
            *outlines[0].arc(*spans[0]),
            *(outline.pixel(high) for outline, (_, high) in middle),
            *reversed(outlines[-1].arc(*spans[-1])),
            *(outline.pixel(low) for outline, (low, _) in reversed(middle)),
        ]
