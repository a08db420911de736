"""Draws legs with their clothes and shoes."""

import math

from .canvas import SHADOW, Canvas, between, shade
from .garments import torso_rings
from .ring_surfaces import RingSurface
from .skeleton import Leg, Skeleton
from .wardrobe import Lower, Person, Shoes


def draw_leg(canvas: Canvas, skeleton: Skeleton, side: int, person: Person) -> None:
    """Draws one leg with its shoe and its half of the trousers or shorts."""
    skin, lower, shoes = person.skin, person.lower, person.shoes
    leg = skeleton.legs[side]
    size = skeleton.build.height * (0.55 + 0.45 * skeleton.build.girth)
    thigh, knee, ankle = 0.056 * size, 0.038 * size, 0.026 * size
    _draw_shoe(canvas, leg, shoes, size)
    if lower.length < 0.85:
        canvas.limb(leg.knee, leg.ankle, (knee * 0.95, ankle * 0.9), skin)
        canvas.limb(leg.hip, leg.knee, (thigh, knee), skin)
    if shoes.boots:
        shaft = between(leg.knee, leg.ankle, 0.45)
        canvas.limb(shaft, leg.ankle, (knee * 0.95, ankle * 1.15), shoes.colour)
    if lower.kind != "skirt":
        _draw_trouser_leg(canvas, leg, (thigh, knee, ankle), lower, side)


def draw_seat(canvas: Canvas, skeleton: Skeleton, lower: Lower) -> None:
    """Draws the garment around the hips: the seat of trousers or a whole skirt."""
    depth = lower.length * 1.5 if lower.kind == "skirt" else 0.12
    waist, _ = skeleton.torso_point(0.42)
    rings = torso_rings(skeleton, 0.97, -depth)
    cloth = RingSurface(canvas, [ring for ring in rings if ring.y <= waist])
    cloth.fill(lower.colour)
    if lower.pattern == "stripes":
        row = cloth.top - 0.03
        while row > cloth.bottom + 0.006:
            cloth.patch(0.0, math.pi, row, row - 0.006, lower.accent)
            row -= 0.036
    cloth.patch(0.0, math.pi, cloth.top, cloth.top - 0.018, shade(lower.colour, 0.6))
    if lower.kind == "skirt":
        for azimuth in (0.0, 1.0, 2.0, 3.0, 4.0, 5.2):
            cloth.patch(azimuth, 0.06, cloth.top - 0.05, cloth.bottom, SHADOW, 45)
    cloth.shadow()


def _draw_trouser_leg(canvas: Canvas, leg: Leg, radii, lower: Lower, side: int) -> None:
    thigh, knee, ankle = radii
    wide = lower.kind == "wide trousers"
    loose = 1.16 if wide or lower.kind == "shorts" else 1.05
    colour = shade(lower.colour, 1.0 if side > 0 else 0.95)
    upper_end = between(leg.hip, leg.knee, min(lower.length / 0.5, 1.0))
    ends_above_knee = lower.length < 0.5
    if not ends_above_knee:
        hem = between(leg.knee, leg.ankle, (lower.length - 0.5) / 0.5)
        width = ankle * (1.75 if wide else 1.2) if lower.length > 0.85 else knee * 1.1
        canvas.limb(leg.knee, hem, (knee * loose, width), colour, cuff=True)
        canvas.belt(leg.knee, hem, 0.97, width, 0.008, shade(lower.colour, 0.7))
    end_radius = thigh * 1.02 if ends_above_knee else knee * loose
    canvas.limb(leg.hip, upper_end, (thigh * 1.04, end_radius), colour, cuff=ends_above_knee)
    if lower.pattern == "side stripe":
        _draw_side_stripe(canvas, leg, radii, lower, side)


def _draw_side_stripe(canvas: Canvas, leg: Leg, radii, lower: Lower, side: int) -> None:
    """Draws a stripe down the outer seam if the seam faces the viewer."""
    if canvas.depth((float(side), 0.0, 0.0)) < -0.2:
        return
    thigh, knee, ankle = radii
    joints = [(leg.hip, thigh), (leg.knee, knee)]
    if lower.length > 0.85:
        joints.append((leg.ankle, ankle))
    seam = [(x + side * radius * 0.7, y, z) for (x, y, z), radius in joints]
    canvas.line(seam, lower.accent, 0.012)


def _draw_shoe(canvas: Canvas, leg: Leg, shoes: Shoes, size: float) -> None:
    sole = [(x, y - 0.008 * size, z) for x, y, z in (leg.heel, leg.toe)]
    canvas.limb(sole[0], sole[1], (0.024 * size, 0.02 * size), shoes.sole)
    canvas.limb(leg.heel, leg.toe, (0.025 * size, 0.019 * size), shoes.colour)
    canvas.limb(leg.ankle, leg.heel, (0.024 * size, 0.025 * size), shoes.colour)
