"""Draws occluders, the objects in front of persons, as cut-outs."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from .canvas import shade
from .figure import draw_person
from .skeleton import Pose
from .wardrobe import Colour, make_person

LONGER_SIDE = 256
DRAWN_SIDE = 2 * LONGER_SIDE
GLASS: Colour = (52, 62, 72)
CAR_COLOURS: tuple[Colour, ...] = (
    (206, 206, 204),
    (60, 62, 68),
    (128, 132, 138),
    (146, 36, 38),
    (44, 66, 116),
    (232, 230, 224),
    (60, 84, 70),
)
LEAVES: tuple[Colour, ...] = ((62, 100, 46), (84, 122, 54), (46, 82, 52), (104, 112, 50))
BOARDS: tuple[Colour, ...] = (
    (230, 226, 214),
    (208, 168, 52),
    (46, 92, 140),
    (178, 58, 50),
    (70, 112, 84),
)
BINS: tuple[Colour, ...] = ((56, 84, 62), (58, 62, 68), (48, 72, 120), (120, 96, 60))
POLES: tuple[Colour, ...] = ((120, 124, 126), (70, 74, 76), (66, 88, 76), (196, 176, 84))


def draw_occluder(kind: str, rng: np.random.Generator) -> Image.Image:
    """Draws an occluder of a kind in KINDS as an RGBA image, cropped to its silhouette.

    The longer side has LONGER_SIDE pixels. Only edges are partly transparent. Raises KeyError for
    an unknown kind.
    """
    drawing = _DRAWERS[kind](rng)
    drawing = drawing.crop(drawing.getbbox())
    scale = LONGER_SIDE / max(drawing.size)
    size = tuple(max(1, round(side * scale)) for side in drawing.size)
    return drawing.resize(size, Image.Resampling.BOX)


def _blank() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGBA", (DRAWN_SIDE, DRAWN_SIDE))
    return image, ImageDraw.Draw(image)


def _choose(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[rng.integers(len(colours))]


def _draw_car(rng: np.random.Generator) -> Image.Image:
    """Draws a saloon, hatchback or van from the side."""
    image, paint = _blank()
    colour = _choose(rng, CAR_COLOURS)
    roofs = (
        ((96, 236), (150, 190), (312, 190), (386, 240)),
        ((40, 238), (74, 186), (304, 186), (376, 240)),
        ((14, 236), (26, 150), (340, 150), (408, 240)),
    )
    roof = roofs[rng.integers(len(roofs))]
    top = roof[1][1]
    body = [(4, 252), (14, 234), roof[0], *roof[1:3], roof[3], (478, 258), (506, 286), (508, 320)]
    paint.polygon([*body, (504, 334), (8, 334), (4, 316)], fill=shade(colour, 0.92))
    paint.polygon([(6, 250), (roof[3][0], 242), (478, 260), (500, 280), (4, 276)], fill=colour)
    paint.rectangle((4, 306, 508, 334), fill=shade(colour, 0.62))
    paint.line((*roof[1], *roof[2]), fill=shade(colour, 1.25), width=6)
    pane = [(roof[0][0] + 20, 238), (roof[1][0] + 12, top + 12)]
    pane += [(roof[2][0] - 8, top + 12), (roof[3][0] - 18, 240)]
    paint.polygon(pane, fill=GLASS)
    paint.polygon(
        [pane[1], (pane[1][0] + 70, top + 12), (pane[1][0] + 20, 238), pane[0]], (92, 106, 116)
    )
    for pillar in (206, 300):
        paint.rectangle((pillar, top + 8, pillar + 9, 240), fill=shade(colour, 0.8))
        paint.line((pillar + 4, 240, pillar + 4, 322), fill=shade(colour, 0.55), width=2)
        paint.rectangle((pillar - 40, 254, pillar - 18, 259), fill=shade(colour, 0.5))
    paint.rectangle((484, 272, 506, 288), fill=(240, 228, 180))
    paint.rectangle((4, 262, 18, 286), fill=(176, 34, 34))
    for wheel in (104, 406):
        for radius, tint in ((46, shade(colour, 0.4)), (40, (24, 24, 26)), (24, (160, 162, 166))):
            paint.ellipse((wheel - radius, 332 - radius, wheel + radius, 332 + radius), fill=tint)
        paint.ellipse((wheel - 8, 324, wheel + 8, 340), fill=(70, 72, 76))
    return image if rng.random() < 0.5 else image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _draw_bush(rng: np.random.Generator) -> Image.Image:
    """Draws a bush: a dark core under leaves that become lighter towards the top."""
    image, paint = _blank()
    colour = _choose(rng, LEAVES)
    half_width, half_height = rng.uniform(170, 240), rng.uniform(130, 220)
    middle = 250
    foot = middle + half_height * 0.8
    core = (256 - half_width * 0.8, middle - half_height * 0.7, 256 + half_width * 0.8, foot)
    paint.ellipse(core, fill=shade(colour, 0.55))
    paint.rectangle((core[0] + 20, middle + 20, core[2] - 20, foot - 24), fill=shade(colour, 0.5))
    for tone, count, spread in ((0.5, 90, 1.0), (0.7, 90, 0.98), (0.95, 80, 0.85), (1.25, 60, 0.7)):
        turns = rng.uniform(0, math.tau, count)
        reaches = np.sqrt(rng.uniform(0.0, 1.0, count)) * spread
        xs = 256 + half_width * reaches * np.cos(turns)
        ys = middle - 60 * (tone - 0.5) + half_height * reaches * np.sin(turns)
        sizes = rng.uniform(13, 32, count) * (1.1 - 0.3 * tone)
        for x, y, size in zip(xs, np.minimum(ys, foot), sizes, strict=True):
            leaf = [(x - size, y + size * 0.4), (x - size * 0.2, y - size), (x + size, y)]
            paint.polygon(
                [*leaf, (x, y + size * 0.7)], fill=shade(colour, tone * (0.8 + size / 70))
            )
    return image


def _draw_board(rng: np.random.Generator) -> Image.Image:
    """Draws a hoarding on two legs, with a headline or warning stripes above lines of text."""
    image, paint = _blank()
    colour = _choose(rng, BOARDS)
    left, right = 256 - rng.uniform(130, 240), 256 + rng.uniform(130, 240)
    for leg in (left + 30, right - 46):
        paint.rectangle((leg, 300, leg + 16, 500), fill=(92, 88, 84))
    paint.rectangle((left, 80, right, 420), fill=shade(colour, 0.5))
    paint.rectangle((left + 10, 90, right - 10, 410), fill=colour)
    ink = shade(colour, 0.35)
    if rng.random() < 0.4:
        for start in range(-340, 520, 84):
            stripe = [(start, 150), (start + 42, 150), (start + 142, 250), (start + 100, 250)]
            inside = [(min(max(x + left, left + 10), right - 10), y) for x, y in stripe]
            paint.polygon(inside, fill=ink)
    else:
        paint.rectangle((left + 34, 120, right - 34, 196), fill=ink)
    for row in range(4):
        end = right - 40 - rng.uniform(0, 80)
        paint.rectangle((left + 34, 270 + 32 * row, end, 284 + 32 * row), fill=ink)
    return image


def _draw_bin(rng: np.random.Generator) -> Image.Image:
    """Draws a litter bin with a lid, ribs and wheels."""
    image, paint = _blank()
    colour = _choose(rng, BINS)
    half = rng.uniform(96, 140)
    for wheel in (256 - half * 0.72, 256 + half * 0.72 - 30):
        paint.ellipse((wheel, 452, wheel + 40, 496), fill=(28, 28, 30))
    paint.polygon(
        [(256 - half, 150), (256 + half, 150), (256 + half * 0.84, 480), (256 - half * 0.84, 480)],
        colour,
    )
    for share, width in ((-0.62, 10), (-0.2, 10), (0.22, 10)):
        paint.rectangle(
            (256 + half * share, 160, 256 + half * share + width, 474), shade(colour, 0.8)
        )
    paint.polygon(
        [
            (256 + half * 0.5, 150),
            (256 + half, 150),
            (256 + half * 0.84, 480),
            (256 + half * 0.45, 480),
        ],
        shade(colour, 0.72),
    )
    paint.rounded_rectangle((244 - half, 108, 268 + half, 154), 14, fill=shade(colour, 0.62))
    paint.rounded_rectangle((250 - half, 100, 262 + half, 134), 16, fill=shade(colour, 1.15))
    paint.rectangle((256 - half * 0.4, 230, 256 + half * 0.3, 310), fill=(224, 222, 210))
    paint.rectangle((256 - half * 0.3, 248, 256 + half * 0.2, 262), fill=shade(colour, 0.6))
    return image


def _draw_pole(rng: np.random.Generator) -> Image.Image:
    """Draws a lamp post or pillar with a wider base, a band and a sticker."""
    image, paint = _blank()
    colour = _choose(rng, POLES)
    half = rng.uniform(22, 44)
    base = half * rng.uniform(1.25, 1.6)
    for reach, top, bottom in ((half, 0, 512), (base, 400, 512), (half * 1.2, 60, 84)):
        for left, right, tone in ((-1, 1, 1.0), (-1, -0.55, 1.2), (0.1, 1, 0.8), (0.6, 1, 0.6)):
            paint.rectangle(
                (256 + reach * left, top, 256 + reach * right, bottom), fill=shade(colour, tone)
            )
    paint.rectangle((256 - half * 0.6, 210, 256 + half * 0.5, 280), fill=_choose(rng, BOARDS))
    return image


def _draw_passer_by(rng: np.random.Generator) -> Image.Image:
    """Draws another person."""
    pose = Pose(
        phase=rng.uniform(0, math.tau),
        orientation=rng.uniform(0, math.tau),
        stride=rng.uniform(0.1, 0.3),
        swing=rng.uniform(0.1, 0.3),
    )
    return draw_person(make_person(rng), pose)


_DRAWERS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "car": _draw_car,
    "bush": _draw_bush,
    "board": _draw_board,
    "bin": _draw_bin,
    "pole": _draw_pole,
    "person": _draw_passer_by,
}
KINDS: tuple[str, ...] = tuple(_DRAWERS)
