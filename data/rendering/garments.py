"""Draws clothes on the torso and the arms."""

import math

from .canvas import SHADOW, Canvas, Point, between, shade
from .ring_surfaces import Ring, RingSurface
from .skeleton import Skeleton
from .wardrobe import Colour, Upper

# Each row: share of the torso (0 hips .. 1 base of the neck), half width and half depth.
TORSO_RINGS = (
    (1.07, 0.036, 0.038),
    (1.02, 0.050, 0.046),
    (0.97, 0.092, 0.054),
    (0.9, 0.113, 0.060),
    (0.74, 0.110, 0.070),
    (0.55, 0.106, 0.068),
    (0.36, 0.098, 0.062),
    (0.15, 0.101, 0.066),
    (0.0, 0.104, 0.070),
)
BULK = {"t-shirt": 1.0, "shirt": 1.02, "vest": 0.97, "dress": 1.0, "jumper": 1.05}
OUTERWEAR_BULK = 1.1
LETTERS = ("111101", "101111", "110110", "111011")


def torso_rings(skeleton: Skeleton, bulk: float, bottom: float) -> list[Ring]:
    """Returns rings down to share `bottom` of the torso; rings below the hips enclose the legs."""
    build = skeleton.build
    rings = []
    for share, width, depth in TORSO_RINGS:
        taper = 1.0
        if 0.2 < share < 0.7:
            taper = build.waist
        elif share <= 0.2:
            taper = build.hips
        if share >= bottom:
            loose = bulk if share < 0.93 else 1.0 + (bulk - 1.0) * 0.5
            rings.append(skeleton.torso_ring(share, width * taper * loose, depth * loose))
    steps = max(1, math.ceil(-bottom / 0.25)) if bottom < 0 else 0
    return rings + [_hanging_ring(skeleton, bulk, bottom * (i + 1) / steps) for i in range(steps)]


def draw_torso(canvas: Canvas, skeleton: Skeleton, upper: Upper) -> RingSurface:
    """Draws the upper garment without its sleeves and returns its surface."""
    bulk = BULK.get(upper.kind, OUTERWEAR_BULK)
    cloth = RingSurface(canvas, torso_rings(skeleton, bulk, -upper.hem))
    cloth.fill(upper.colour)
    _draw_pattern(cloth, skeleton, upper)
    if upper.open_front:
        _draw_open_front(cloth, skeleton, upper)
    _draw_trim(cloth, skeleton, upper)
    cloth.shadow()
    return cloth


def draw_hood(canvas: Canvas, skeleton: Skeleton, colour: Colour) -> None:
    """Draws a hood that lies on the shoulders behind the neck."""
    y, z = skeleton.torso_point(1.0)
    size = skeleton.build.height
    rings = [
        Ring(y + 0.045 * size, 0.062 * size, 0.050 * size, 0.0, z - 0.014),
        Ring(y + 0.01 * size, 0.078 * size, 0.062 * size, 0.0, z - 0.022),
        Ring(y - 0.055 * size, 0.052 * size, 0.06 * size, 0.0, z - 0.03),
    ]
    hood = RingSurface(canvas, rings)
    hood.fill(shade(colour, 0.88))
    hood.shadow()


def draw_arm(canvas: Canvas, skeleton: Skeleton, side: int, skin: Colour, upper: Upper) -> None:
    """Draws one arm: the hand, the bare arm and the sleeve."""
    arm = skeleton.arms[side]
    size = skeleton.build.height * (0.6 + 0.4 * skeleton.build.girth)
    shoulder, elbow, wrist = 0.032 * size, 0.026 * size, 0.019 * size
    canvas.limb(arm.wrist, arm.hand, (wrist, wrist * 1.05), skin)
    if upper.sleeve < 0.9:
        canvas.limb(arm.elbow, arm.wrist, (elbow, wrist), skin)
        canvas.limb(arm.shoulder, arm.elbow, (shoulder, elbow), skin)
    if upper.sleeve == 0.0:
        return
    loose = 1.14 * BULK.get(upper.kind, OUTERWEAR_BULK)
    colour = shade(upper.colour, 0.96)
    covered = min(upper.sleeve / 0.5, 1.0)
    end = between(arm.shoulder, arm.elbow, covered)
    end_radius = (shoulder + (elbow - shoulder) * covered) * loose
    if upper.sleeve > 0.5:
        cuff = between(arm.elbow, arm.wrist, (upper.sleeve - 0.5) / 0.5)
        canvas.limb(arm.elbow, cuff, (elbow * loose, wrist * loose * 1.1), colour, cuff=True)
        _draw_rings(canvas, arm.elbow, cuff, (elbow * loose, wrist * loose * 1.1), upper)
    cut_off = upper.sleeve < 0.5
    canvas.limb(arm.shoulder, end, (shoulder * loose, end_radius), colour, cuff=cut_off)
    _draw_rings(canvas, arm.shoulder, end, (shoulder * loose, end_radius), upper)


def _hanging_ring(skeleton: Skeleton, bulk: float, share: float) -> Ring:
    """Returns a ring of a coat or skirt below the hips, wide enough for both legs."""
    ring = skeleton.torso_ring(share, 0.106 * bulk * skeleton.build.hips, 0.072 * bulk)
    middle, spread = skeleton.leg_spread(ring.y)
    flare = 1.0 - 0.1 * share
    return ring._replace(width=ring.width * flare, depth=ring.depth + spread * 0.8, z=middle)


def _draw_pattern(cloth: RingSurface, skeleton: Skeleton, upper: Upper) -> None:
    pattern, accent = upper.pattern, upper.accent
    if pattern in ("stripes", "checks"):
        thickness = 0.012 if pattern == "stripes" else 0.006
        row = cloth.top - 0.05
        while row > cloth.bottom:
            bottom = max(row - thickness, cloth.bottom)
            cloth.patch(0.0, math.pi, row, bottom, accent)
            row -= 0.03 if pattern == "stripes" else 0.036
    if pattern in ("pinstripes", "checks"):
        half = 0.03 if pattern == "pinstripes" else 0.05
        for step in range(18):
            azimuth = step * math.tau / 18 + 0.17
            cloth.patch(azimuth, half, cloth.top - 0.03, cloth.bottom, accent, 200)
    if pattern == "block":
        chest, _ = skeleton.torso_point(0.72)
        cloth.patch(0.0, math.pi, chest, skeleton.torso_point(0.38)[0], accent)
    if pattern == "print":
        _draw_print(cloth, skeleton, upper)


def _draw_print(cloth: RingSurface, skeleton: Skeleton, upper: Upper) -> None:
    """Draws a motif on the chest."""
    middle, _ = skeleton.torso_point(0.66)
    if not cloth.sees(0.0, middle):
        return
    if upper.motif == "disc":
        turns = [step * math.tau / 16 for step in range(16)]
        circle = [(0.62 * math.cos(turn), 0.048 * math.sin(turn)) for turn in turns]
        cloth.shape([(azimuth, middle + rise) for azimuth, rise in circle], upper.accent)
        core = [(azimuth * 0.45, middle + rise * 0.45) for azimuth, rise in circle]
        cloth.shape(core, upper.inner)
    elif upper.motif == "diamond":
        corners = ((0.0, 0.06), (0.7, 0.0), (0.0, -0.06), (-0.7, 0.0))
        cloth.shape([(azimuth, middle + rise) for azimuth, rise in corners], upper.accent)
    elif upper.motif == "panel":
        cloth.patch(0.0, 0.6, middle + 0.05, middle - 0.05, upper.accent)
        cloth.patch(0.0, 0.6, middle + 0.004, middle - 0.02, upper.inner)
    else:
        for row, dots in enumerate(LETTERS):
            top = middle + 0.036 - 0.02 * row
            for column, dot in enumerate(dots):
                if dot == "1":
                    cloth.patch(-0.55 + 0.22 * column, 0.1, top, top - 0.014, upper.accent)


def _draw_open_front(cloth: RingSurface, skeleton: Skeleton, upper: Upper) -> None:
    waist, _ = skeleton.torso_point(0.3)
    below = max(skeleton.torso_point(-0.08)[0], cloth.bottom)
    corners = ((-0.32, cloth.top), (0.32, cloth.top), (0.3, waist), (0.36, below))
    if cloth.sees(0.0, waist):
        cloth.shape([*corners, (-0.36, below), (-0.3, waist)], upper.inner)
        edge = shade(upper.colour, 0.6)
        for side in (-1, 1):
            cloth.patch(side * 0.36, 0.06, cloth.top, cloth.bottom, edge)


def _draw_trim(cloth: RingSurface, skeleton: Skeleton, upper: Upper) -> None:
    """Draws the garment's hem, collar, zip, buttons, pockets, belt and folds."""
    dark, light = shade(upper.colour, 0.66), shade(upper.colour, 1.3)
    neck, _ = skeleton.torso_point(0.98)
    hem_height = 0.012 if upper.kind in ("t-shirt", "shirt", "dress") else 0.024
    cloth.patch(0.0, math.pi, cloth.bottom + hem_height, cloth.bottom, dark, 150)
    if upper.kind in ("shirt", "jacket", "coat", "hoodie"):
        cloth.patch(0.0, math.pi, cloth.top, cloth.top - 0.02, dark)
        if not upper.open_front:
            cloth.patch(0.0, 0.035, neck, cloth.bottom, dark)
    else:
        cloth.patch(0.0, math.pi, cloth.top, cloth.top - 0.008, dark)
    if upper.kind in ("shirt", "coat") and not upper.open_front:
        for step in range(5):
            row = neck - 0.05 - 0.055 * step
            if row > cloth.bottom + 0.02:
                cloth.patch(0.12, 0.05, row, row - 0.009, light)
    if upper.kind in ("jacket", "coat", "hoodie"):
        pocket, _ = skeleton.torso_point(0.12)
        for side in (-1, 1):
            cloth.patch(side * 0.8, 0.22, pocket, pocket - 0.01, dark)
    if upper.kind in ("dress", "coat"):
        waist, _ = skeleton.torso_point(0.4)
        cloth.patch(0.0, math.pi, waist + 0.01, waist - 0.01, shade(upper.colour, 0.55))
        for azimuth in (0.5, 1.4, 2.4, 3.4, 4.4, 5.6):
            cloth.patch(azimuth, 0.05, waist - 0.1, cloth.bottom, SHADOW, 50)


def _draw_rings(
    canvas: Canvas, start: Point, end: Point, radii: tuple[float, float], upper: Upper
) -> None:
    """Draws the garment's stripes on a sleeve as short belts."""
    if upper.pattern not in ("stripes", "checks"):
        return
    length = max(math.dist(start, end), 1e-6)
    count = int(length / 0.032)
    for step in range(count):
        share = (step + 0.7) / (count + 0.3)
        radius = (radii[0] + (radii[1] - radii[0]) * share) * 0.96
        canvas.belt(start, end, share, radius, 0.011, upper.accent)
