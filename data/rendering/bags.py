"""Draws rucksacks, shoulder bags and handbags."""

import math

from .canvas import Canvas, Point, shade
from .ring_surfaces import Ring, RingSurface
from .skeleton import Skeleton
from .wardrobe import Bag


def bag_place(skeleton: Skeleton, bag: Bag) -> Point:
    """Returns the centre of a bag; its depth decides when the bag is drawn."""
    size = skeleton.build.height
    if bag.kind == "rucksack":
        y, z = skeleton.torso_point(0.6)
        return 0.0, y, z - (0.072 * skeleton.build.girth + 0.045) * size
    if bag.kind == "shoulder bag":
        y, z = skeleton.torso_point(-0.12)
        return bag.side * 0.15 * size * skeleton.build.breadth, y, z - 0.01
    x, y, z = skeleton.arms[bag.side].hand
    return x, y - 0.11 * size, z


def draw_bag(canvas: Canvas, skeleton: Skeleton, bag: Bag) -> None:
    """Draws the bag; `draw_straps` draws the straps over the body."""
    x, y, z = bag_place(skeleton, bag)
    if bag.kind == "rucksack":
        _draw_rucksack(canvas, bag, (x, y, z), skeleton.build.height)
        return
    width, depth, height = (
        (0.026, 0.078, 0.062) if bag.kind == "shoulder bag" else (0.022, 0.07, 0.05)
    )
    if bag.kind == "handbag":
        hand = skeleton.arms[bag.side].hand
        for shift in (-0.035, 0.035):
            canvas.line([(x, y + height, z + shift), hand], shade(bag.colour, 0.6), 0.008)
    body = RingSurface(
        canvas,
        [
            Ring(y + height, width * 0.8, depth * 0.85, x, z),
            Ring(y - height * 0.8, width * 1.15, depth * 1.05, x, z),
            Ring(y - height, width, depth * 0.95, x, z),
        ],
    )
    body.fill(bag.colour)
    body.patch(0.0, math.pi, y + height, y + height * 0.35, shade(bag.colour, 0.75))
    body.patch(0.0, math.pi, y + height * 0.35, y + height * 0.25, bag.accent)
    body.shadow()


def draw_straps(canvas: Canvas, skeleton: Skeleton, bag: Bag, cloth: RingSurface) -> None:
    """Draws the straps of a rucksack or shoulder bag on the surface of the torso."""
    dark = shade(bag.colour, 0.7)
    top, _ = skeleton.torso_point(0.99)
    armpit, _ = skeleton.torso_point(0.5)
    if bag.kind == "rucksack":
        for side in (-1, 1):
            places = ((0.55, top), (0.95, top), (0.98, armpit + 0.03), (1.45, armpit - 0.01))
            strap = [*places, (1.3, armpit - 0.02), (0.72, armpit + 0.03)]
            if cloth.sees(side * 0.75, armpit):
                cloth.shape([(side * azimuth, y) for azimuth, y in strap], dark)
    elif bag.kind == "shoulder bag":
        hip, _ = skeleton.torso_point(0.1)
        for face in (0.0, math.pi):
            if not cloth.sees(face, armpit):
                continue
            # The strap runs from the opposite shoulder down to the bag.
            turn = -bag.side if face == 0.0 else bag.side
            ends = ((turn * 0.7, top), (turn * 0.45, top), (-turn * 1.35, hip), (-turn * 1.5, hip))
            cloth.shape([(face + azimuth, y) for azimuth, y in ends], dark)


def _draw_rucksack(canvas: Canvas, bag: Bag, middle: Point, size: float) -> None:
    x, y, z = middle
    rings = [
        Ring(y + 0.108 * size, 0.045 * size, 0.03 * size, x, z + 0.01),
        Ring(y + 0.09 * size, 0.078 * size, 0.05 * size, x, z),
        Ring(y - 0.08 * size, 0.09 * size, 0.062 * size, x, z),
        Ring(y - 0.105 * size, 0.08 * size, 0.05 * size, x, z),
    ]
    pack = RingSurface(canvas, rings)
    pack.fill(bag.colour)
    dark = shade(bag.colour, 0.65)
    pack.patch(math.pi, 1.4, y + 0.055, y + 0.045, dark)
    pack.patch(math.pi, 0.75, y - 0.005, y - 0.085, bag.accent)
    pack.patch(math.pi, 0.75, y - 0.02, y - 0.028, dark)
    pack.shadow()
