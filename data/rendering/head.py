"""Draws heads: skull, face, hair and headwear."""

import math

from .canvas import Canvas, shade
from .ring_surfaces import Ring, RingSurface
from .skeleton import Pose, Skeleton
from .wardrobe import Colour, Hair

# Each row: level on the skull (1 crown .. -1 chin), half width, half depth and forward shift.
SKULL = (
    (1.0, 0.006, 0.008, -0.004),
    (0.88, 0.026, 0.033, -0.004),
    (0.6, 0.040, 0.049, -0.003),
    (0.2, 0.046, 0.055, 0.0),
    (-0.2, 0.045, 0.053, 0.002),
    (-0.55, 0.038, 0.046, 0.006),
    (-0.85, 0.026, 0.034, 0.012),
    (-1.0, 0.012, 0.018, 0.016),
)
HALF_HEIGHT = 0.069
EYE: Colour = (36, 28, 26)
LIPS: Colour = (150, 74, 70)


def draw_neck(canvas: Canvas, skeleton: Skeleton, skin: Colour) -> None:
    """Draws the neck; the head and the collar overlap it."""
    x, y, z = skeleton.head
    base, shift = skeleton.torso_point(0.93)
    radius = 0.032 * skeleton.build.height
    canvas.limb((x, y - 0.03, z - 0.016), (0, base, shift), (radius, radius * 1.15), skin)


def draw_head(canvas: Canvas, skeleton: Skeleton, pose: Pose, skin: Colour, hair: Hair) -> None:
    """Draws the skull, the face, the hair and the headwear."""
    skull = _skull(canvas, skeleton, 1.0)
    skull.fill(skin)
    _draw_face(skull, skeleton, pose.gaze, skin, hair)
    skull.shadow()
    _draw_ears(canvas, skull, pose.gaze, skin)
    if hair.style != "bald":
        _draw_hair(canvas, skeleton, pose.gaze, hair)
    if hair.style in ("cap", "beanie", "headscarf"):
        _draw_cover(canvas, skeleton, pose.gaze, hair)


def draw_falling_hair(canvas: Canvas, skeleton: Skeleton, hair: Hair) -> None:
    """Draws the bob, long hair, ponytail, bun or headscarf behind the neck."""
    x, y, z = skeleton.head
    if hair.style in ("bob", "long", "headscarf"):
        drop = {"bob": 0.085, "long": 0.18, "headscarf": 0.12}[hair.style]
        colour = hair.cover if hair.style == "headscarf" else hair.colour
        rings = [
            Ring(y + 0.03, 0.047, 0.044, x, z - 0.018),
            Ring(y - 0.03, 0.056, 0.044, x, z - 0.024),
            Ring(y - drop * 0.8, 0.060, 0.036, x, z - 0.036),
            Ring(y - drop, 0.050, 0.026, x, z - 0.04),
        ]
        curtain = RingSurface(canvas, rings)
        curtain.fill(colour)
        curtain.shadow()
        for azimuth in (2.4, 2.9, 3.5, 4.0):
            curtain.patch(azimuth, 0.05, y, y - drop, shade(colour, 0.75), 140)
    elif hair.style == "ponytail":
        tie = (x, y + 0.025, z - 0.066)
        canvas.limb(tie, (x, y - 0.11, z - 0.078), (0.021, 0.009), hair.colour)
        canvas.ball(tie, 0.014, shade(hair.colour, 0.7))
    elif hair.style == "bun":
        canvas.ball((x, y + 0.05, z - 0.058), 0.028, hair.colour)
        canvas.ball((x, y + 0.052, z - 0.064), 0.018, shade(hair.colour, 1.25))


def _skull(canvas: Canvas, skeleton: Skeleton, inflate: float) -> RingSurface:
    x, y, z = skeleton.head
    rings = [
        Ring(y + level * HALF_HEIGHT * inflate, width * inflate, depth * inflate, x, z + shift)
        for level, width, depth, shift in SKULL
    ]
    return RingSurface(canvas, rings)


def _draw_face(
    skull: RingSurface, skeleton: Skeleton, gaze: float, skin: Colour, hair: Hair
) -> None:
    y = skeleton.head[1]
    if hair.beard:
        skull.patch(gaze, 1.3, y - 0.026, y - HALF_HEIGHT, shade(hair.colour, 1.1), 225)
    for side in (-1, 1):
        azimuth = gaze + side * 0.45
        skull.patch(azimuth, 0.2, y + 0.02, y + 0.016, shade(hair.colour, 0.8), 150)
        skull.patch(azimuth, 0.13, y + 0.008, y, EYE)
    skull.patch(gaze, 0.13, y - 0.013, y - 0.02, shade(skin, 0.72), 170)
    skull.patch(gaze, 0.25, y - 0.037, y - 0.043, LIPS, 200)
    nose = [skull.place(gaze, y + 0.005), skull.place(gaze, y - 0.02)]
    nose.insert(1, skull.place(gaze, y - 0.016, lift=0.012))
    if abs(math.sin(_seen_at(skull, gaze))) > 0.5 and skull.sees(gaze, y - 0.01):
        skull.canvas.solid([skull.canvas.project(point) for point in nose], shade(skin, 0.95))


def _seen_at(skull: RingSurface, azimuth: float) -> float:
    """Returns the angle in radians between an azimuth on the skull and the viewer."""
    canvas = skull.canvas
    return azimuth + math.atan2(canvas.sin_turn, canvas.cos_turn)


def _draw_ears(canvas: Canvas, skull: RingSurface, gaze: float, skin: Colour) -> None:
    y = (skull.top + skull.bottom) / 2
    for side in (-1, 1):
        azimuth = gaze + side * 1.65
        if math.cos(_seen_at(skull, azimuth)) > -0.35:
            canvas.ball(skull.place(azimuth, y - 0.004), 0.012, shade(skin, 0.88))


def _draw_hair(canvas: Canvas, skeleton: Skeleton, gaze: float, hair: Hair) -> None:
    """Draws the hair on the skull: one piece above the forehead and two around the back."""
    y = skeleton.head[1]
    scalp = _skull(canvas, skeleton, 1.09)
    nape = {"short": -0.045, "cap": -0.04, "beanie": -0.04}.get(hair.style, -0.055)
    front = {"bob": 1.0, "long": 1.05, "headscarf": 0.95}.get(hair.style, 1.25)
    half = (math.pi - front) / 2
    scalp.solid(0.0, math.pi, scalp.top, y + 0.042, hair.colour)
    for side in (-1, 1):
        scalp.solid(gaze + side * (front + half), half + 0.04, y + 0.045, y + nape, hair.colour)
        scalp.solid(gaze + side * 0.9, 0.42, y + 0.045, y + 0.026, hair.colour)
    gleam = shade(hair.colour, 1.35)
    for azimuth in (-0.5, 0.1, 0.6, 2.4, 3.2, 4.0):
        scalp.patch(azimuth, 0.09, y + 0.068, y + 0.045, gleam, 90)
    if hair.style != "short":
        scalp.patch(math.pi, 0.03, y + 0.06, y + nape, shade(hair.colour, 0.7), 160)


def _draw_cover(canvas: Canvas, skeleton: Skeleton, gaze: float, hair: Hair) -> None:
    """Draws a cap with its visor, a beanie with its turn-up or a headscarf around the face."""
    y = skeleton.head[1]
    cloth = _skull(canvas, skeleton, 1.15)
    if hair.style == "headscarf":
        cloth.solid(0.0, math.pi, cloth.top, y + 0.034, hair.cover)
        for side in (-1, 1):
            cloth.solid(gaze + side * 2.0, 1.15, y + 0.04, cloth.bottom, hair.cover)
        cloth.solid(0.0, math.pi, y - 0.062, cloth.bottom, hair.cover)
        return
    brim = y + (0.03 if hair.style == "cap" else 0.022)
    cloth.solid(0.0, math.pi, cloth.top, brim, hair.cover)
    cloth.patch(0.0, math.pi, brim + 0.02, brim, shade(hair.cover, 0.8))
    if hair.style == "cap":
        rim = [cloth.place(gaze + turn, brim + 0.004) for turn in (-1.0, -0.5, 0.5, 1.0)]
        edge = [cloth.place(gaze + turn, brim - 0.008, lift=0.038) for turn in (0.5, 0.0, -0.5)]
        visor = [canvas.project(point) for point in (*rim, *edge)]
        if math.cos(_seen_at(cloth, gaze)) > -0.3:
            canvas.solid(visor, shade(hair.cover, 0.7))
