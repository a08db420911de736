"""Projects points in space to pixels and draws bodies from them.

The axes are the person's own: x points left, y up and z forward. The origin is on the ground below
the hips. The unit of length is the height of a standing adult. A view turns the person and looks
down at an angle.
"""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from .wardrobe import Colour

Point = tuple[float, float, float]

WIDTH, HEIGHT = 336, 440
PIXELS_PER_UNIT = 376
GROUND_ROW = 414
SHADOW: Colour = (8, 8, 18)


def shade(colour: Colour, factor: float) -> Colour:
    """Returns a darker (factor below 1) or lighter (factor above 1) colour."""
    red, green, blue = colour
    return (
        min(255, int(red * factor)),
        min(255, int(green * factor)),
        min(255, int(blue * factor)),
    )


class Canvas:
    """The colours and the silhouette of one figure in one view.

    `turn` is the heading in radians: 0 faces the viewer, pi/2 walks to the viewer's right.
    `elevation` is the angle in radians at which the viewer looks down. `light` is the side of the
    light, from -1 (left) to 1 (right).
    """

    def __init__(self, turn: float, elevation: float, light: float):
        self.colour = Image.new("RGB", (WIDTH, HEIGHT))
        self.silhouette = Image.new("L", (WIDTH, HEIGHT))
        self.light = light
        self.cos_turn, self.sin_turn = math.cos(turn), math.sin(turn)
        downward = math.sin(elevation)
        # Change in pixels per unit of x, y and z. Nearer points lie lower in the picture.
        self.unit_x = (PIXELS_PER_UNIT * self.cos_turn, -PIXELS_PER_UNIT * self.sin_turn * downward)
        self.unit_y = -PIXELS_PER_UNIT * math.cos(elevation)
        self.unit_z = (PIXELS_PER_UNIT * self.sin_turn, PIXELS_PER_UNIT * self.cos_turn * downward)
        self._paint = ImageDraw.Draw(self.colour, "RGBA")
        self._cut = ImageDraw.Draw(self.silhouette)

    def depth(self, point: Point) -> float:
        """Returns how much nearer to the viewer the point is than the axis of the body."""
        x, _, z = point
        return z * self.cos_turn - x * self.sin_turn

    def project(self, point: Point) -> tuple[float, float]:
        """Returns the pixel (column, row) of a point in space."""
        x, y, z = point
        return (
            WIDTH / 2 + x * self.unit_x[0] + z * self.unit_z[0],
            GROUND_ROW + x * self.unit_x[1] + y * self.unit_y + z * self.unit_z[1],
        )

    def solid(self, pixels: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fills a polygon and adds it to the silhouette."""
        self._paint.polygon(pixels, fill=colour)
        self._cut.polygon(pixels, fill=255)

    def detail(self, pixels: Sequence[tuple[float, float]], colour: Colour, alpha=255) -> None:
        """Fills a polygon without adding it to the silhouette."""
        self._paint.polygon(pixels, fill=(*colour, alpha))

    def line(self, points: Sequence[Point], colour: Colour, thickness: float) -> None:
        """Draws a thin line, such as a strap, and adds it to the silhouette."""
        pixels = [self.project(point) for point in points]
        width = max(2, round(thickness * PIXELS_PER_UNIT))
        self._paint.line(pixels, fill=colour, width=width, joint="curve")
        self._cut.line(pixels, fill=255, width=width, joint="curve")

    def ball(self, centre: Point, radius: float, colour: Colour) -> None:
        """Draws a disc and adds it to the silhouette."""
        self._disc(self.project(centre), radius * PIXELS_PER_UNIT, colour)

    def limb(
        self, start: Point, end: Point, radii: tuple[float, float], colour: Colour, cuff=False
    ) -> None:
        """Draws a shaded, tapering limb; its end is flat if `cuff` is set, otherwise round."""
        bar = _Bar(self.project(start), self.project(end), radii)
        self._disc(bar.start, radii[0] * PIXELS_PER_UNIT, colour)
        if not cuff:
            self._disc(bar.end, radii[1] * PIXELS_PER_UNIT, colour)
        self.solid([bar.pixel(0, -1), bar.pixel(1, -1), bar.pixel(1, 1), bar.pixel(0, 1)], colour)
        dark = -1 if bar.across[0] * self.light > 0 else 1
        for inner, alpha in ((0.1 * dark, 34), (0.55 * dark, 40)):
            shaded = [bar.pixel(0, inner, -0.85), bar.pixel(0, 0.8 * dark, -0.55)]
            shaded += [bar.pixel(0, dark), bar.pixel(1, dark)]
            if cuff:
                shaded.append(bar.pixel(1, inner))
            else:
                shaded += [bar.pixel(1, 0.8 * dark, 0.55), bar.pixel(1, inner, 0.85)]
            self.detail(shaded, SHADOW, alpha)

    def belt(
        self, start: Point, end: Point, share: float, radius: float, height: float, colour: Colour
    ) -> None:
        """Paints a belt across a limb at a share (0 .. 1) of its length."""
        bar = _Bar(self.project(start), self.project(end), (radius, radius))
        half = height / radius / 2
        corners = ((-1, -half), (1, -half), (1, half), (-1, half))
        self.detail([bar.pixel(share, *corner) for corner in corners], colour)

    def image(self) -> Image.Image:
        """Returns the figure as an RGBA image, transparent outside the silhouette."""
        return Image.merge("RGBA", (*self.colour.split(), self.silhouette))

    def _disc(self, centre: tuple[float, float], radius: float, colour: Colour) -> None:
        x, y = centre
        box = (x - radius, y - radius, x + radius, y + radius)
        self._paint.ellipse(box, fill=colour)
        self._cut.ellipse(box, fill=255)


class _Bar:
    """A tapering bar between two pixels; its end radii are in standing heights."""

    def __init__(
        self, start: tuple[float, float], end: tuple[float, float], radii: tuple[float, float]
    ):
        self.start, self.end, self.radii = start, end, radii
        along_x, along_y = end[0] - start[0], end[1] - start[1]
        length = math.hypot(along_x, along_y) or 1.0
        self.along = (along_x / length, along_y / length)
        self.across = (-self.along[1], self.along[0])

    def pixel(self, share: float, aside: float, beyond: float = 0.0) -> tuple[float, float]:
        """Returns the pixel at a share of the length, `aside` radii across and `beyond` along."""
        radius = PIXELS_PER_UNIT * (self.radii[0] + (self.radii[1] - self.radii[0]) * share)
        return (
            self.start[0]
            + (self.end[0] - self.start[0]) * share
            + radius * (self.across[0] * aside + self.along[0] * beyond),
            self.start[1]
            + (self.end[1] - self.start[1]) * share
            + radius * (self.across[1] * aside + self.along[1] * beyond),
        )


def between(start: Point, end: Point, share: float) -> Point:
    """Returns the point at a share (0 .. 1) of the way from start to end."""
    (x0, y0, z0), (x1, y1, z1) = start, end
    return x0 + (x1 - x0) * share, y0 + (y1 - y0) * share, z0 + (z1 - z0) * share
