"""Draws the scenes behind the persons as wide panoramas, one function per scene.

Each function draws at twice the final size on a stage of STAGE_HEIGHT x STAGE_WIDTH pixels. Walls
meet the ground near row GROUND.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from .canvas import shade
from .occluders import draw_occluder
from .wardrobe import Colour

PANORAMA_WIDTH, PANORAMA_HEIGHT = 640, 288
STAGE_WIDTH, STAGE_HEIGHT = 2 * PANORAMA_WIDTH, 2 * PANORAMA_HEIGHT
GROUND = 300


class Stage:
    """An unfinished panorama with the drawing operations that the scenes share."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.image = Image.new("RGB", (STAGE_WIDTH, STAGE_HEIGHT))
        self.paint = ImageDraw.Draw(self.image, "RGBA")

    def box(self, left: float, top: float, width: float, height: float, colour) -> None:
        """Fills a rectangle; the colour may have an alpha."""
        self.paint.rectangle((left, top, left + width, top + height), fill=tuple(colour))

    def fade(self, top: int, bottom: int, upper: Colour, lower: Colour) -> None:
        """Fills rows over the full width with a vertical gradient."""
        share = np.linspace(0.0, 1.0, bottom - top)[:, None]
        rows = np.array(upper) * (1 - share) + np.array(lower) * share
        strip = Image.fromarray(rows.astype(np.uint8)[:, None, :])
        self.image.paste(strip.resize((STAGE_WIDTH, bottom - top)), (0, top))

    def steps(self, first: float, last: float, low: float, high: float) -> list[float]:
        """Returns positions from first to last with random gaps between low and high."""
        places = [first]
        while places[-1] < last:
            places.append(places[-1] + self.rng.uniform(low, high))
        return places

    def paving(self, top: int, colour, spread: float = 2.4, gap: int = 90) -> None:
        """Draws the joints of paving slabs in perspective."""
        row, height = float(top), 8.0
        while row < STAGE_HEIGHT:
            self.box(0, row, STAGE_WIDTH, 1 + height / 30, colour)
            row, height = row + height, height * 1.45
        middle = STAGE_WIDTH / 2
        for far in range(-STAGE_WIDTH, 2 * STAGE_WIDTH, gap):
            near = middle + (far - middle) * spread
            self.paint.line((far, top, near, STAGE_HEIGHT), fill=tuple(colour), width=3)

    def stand(self, thing: Image.Image, left: float, bottom: float, height: float) -> None:
        """Pastes a cut-out, scaled to a height, with its lower left corner at (left, bottom)."""
        width = round(thing.width * height / thing.height)
        cutout = thing.resize((width, round(height)), Image.Resampling.BILINEAR)
        self.image.paste(cutout, (round(left), round(bottom - height)), cutout)

    def choose(self, colours: tuple[Colour, ...]) -> Colour:
        """Returns one of the colours at random."""
        return colours[self.rng.integers(len(colours))]


def draw_street(stage: Stage) -> None:
    """Draws houses with windows and doors, a pavement, a kerb and the road."""
    stage.fade(GROUND, STAGE_HEIGHT, (126, 124, 120), (150, 148, 142))
    fronts = ((176, 150, 124), (150, 96, 78), (198, 190, 172), (132, 140, 146), (186, 168, 110))
    doors = ((46, 78, 66), (92, 36, 34), (40, 52, 84), (70, 58, 48))
    for left in stage.steps(-80, STAGE_WIDTH, 210, 300):
        colour = stage.choose(fronts)
        stage.box(left, 0, 320, GROUND, colour)
        stage.box(left, GROUND - 26, 320, 26, shade(colour, 0.7))
        for top in (-40, 110):
            for shift in (28, 116):
                stage.box(left + shift - 6, top - 6, 72, 114, shade(colour, 1.2))
                stage.box(left + shift, top, 60, 100, (58, 68, 78))
                stage.box(left + shift + 28, top, 4, 100, shade(colour, 1.2))
                stage.box(left + shift, top + 46, 60, 4, shade(colour, 1.2))
        stage.box(left + 196, 120, 66, GROUND - 120, stage.choose(doors))
        stage.box(left, 0, 5, GROUND, shade(colour, 0.5))
    stage.paving(GROUND, (96, 94, 92, 140))
    stage.box(0, 440, STAGE_WIDTH, 14, (178, 176, 170))
    stage.box(0, 454, STAGE_WIDTH, 8, (92, 90, 88))
    stage.fade(462, STAGE_HEIGHT, (74, 75, 78), (88, 89, 92))
    for left in range(20, STAGE_WIDTH, 260):
        stage.box(left, 530, 140, 12, (206, 204, 190))


def draw_brick_wall(stage: Stage) -> None:
    """Draws a brick wall with posters and paint, above a tarred pavement."""
    stage.fade(0, 350, (138, 74, 58), (124, 64, 50))
    for row, top in enumerate(range(0, 350, 18)):
        for left in range(-40 + 20 * (row % 2), STAGE_WIDTH, 40):
            tone = stage.rng.uniform(0.84, 1.16)
            stage.box(left + 2, top + 2, 36, 14, shade((142, 76, 58), tone))
    posters = ((222, 210, 170), (60, 116, 150), (214, 92, 60), (240, 240, 236))
    for left in stage.steps(60, STAGE_WIDTH, 170, 330):
        colour, top = stage.choose(posters), stage.rng.uniform(60, 130)
        stage.box(left, top, 84, 116, colour)
        stage.box(left + 10, top + 12, 64, 44, shade(colour, 0.6))
        for row in range(3):
            stage.box(left + 10, top + 68 + 14 * row, 64 - 14 * row, 6, shade(colour, 0.4))
    stage.box(0, 330, STAGE_WIDTH, 20, (96, 92, 90))
    stage.fade(350, STAGE_HEIGHT, (92, 90, 92), (116, 114, 114))
    for left in stage.steps(0, STAGE_WIDTH, 60, 220):
        top = stage.rng.uniform(370, 560)
        stage.paint.ellipse((left, top, left + 130, top + 18), fill=(60, 60, 64, 70))
    stage.box(0, 500, STAGE_WIDTH, 10, (214, 190, 70))


def draw_park(stage: Stage) -> None:
    """Draws trees and benches on a lawn with a gravel path."""
    stage.fade(0, 210, (178, 204, 220), (206, 220, 214))
    greens = ((52, 92, 48), (70, 112, 54), (40, 76, 50), (92, 124, 60))
    for left in stage.steps(-100, STAGE_WIDTH, 26, 60):
        top, size = stage.rng.uniform(-60, 110), stage.rng.uniform(90, 170)
        stage.paint.ellipse((left, top, left + size, top + size), fill=stage.choose(greens))
    stage.fade(210, 400, (86, 128, 60), (104, 146, 66))
    for left in stage.steps(-40, STAGE_WIDTH, 150, 320):
        width = stage.rng.uniform(20, 40)
        stage.box(left, 20, width, 240, (84, 64, 48))
        stage.box(left + width * 0.65, 20, width * 0.35, 240, (58, 44, 36))
    for left in stage.steps(40, STAGE_WIDTH, 330, 520):
        stage.box(left, 250, 150, 10, (142, 96, 56))
        stage.box(left, 272, 150, 12, (156, 108, 64))
        for leg in (10, 130):
            stage.box(left + leg, 250, 8, 58, (60, 58, 58))
    stage.fade(400, STAGE_HEIGHT, (190, 172, 138), (206, 190, 156))
    for _ in range(700):
        x, y = stage.rng.uniform(0, STAGE_WIDTH), stage.rng.uniform(215, 405)
        stage.paint.line((x, y, x + stage.rng.uniform(-4, 4), y - 12), fill=(70, 110, 48), width=2)


def draw_shop_front(stage: Stage) -> None:
    """Draws lit shop windows with goods under awnings, before pale tiles."""
    stage.box(0, 0, STAGE_WIDTH, 400, (52, 50, 54))
    signs = ((190, 52, 48), (40, 96, 120), (218, 176, 60), (60, 110, 74), (120, 60, 110))
    goods = ((212, 96, 72), (90, 140, 180), (232, 206, 120), (150, 170, 110), (190, 130, 170))
    for left in stage.steps(-60, STAGE_WIDTH, 330, 400):
        colour = stage.choose(signs)
        stage.box(left, 0, 310, 50, colour)
        for letter in range(7):
            stage.box(left + 50 + 30 * letter, 14, 20, 24, (244, 238, 224))
        for stripe in range(10):
            tint = colour if stripe % 2 else (236, 232, 222)
            stage.box(left + 31 * stripe, 50, 31, 42, tint)
        stage.box(left + 12, 96, 196, 224, (232, 214, 168))
        for shelf in (170, 244, 312):
            stage.box(left + 12, shelf, 196, 6, (120, 96, 70))
            for place in range(6):
                height = stage.rng.uniform(20, 56)
                spot = left + 20 + 31 * place
                stage.box(spot, shelf - height, 22, height, stage.choose(goods))
        stage.box(left + 224, 96, 76, 274, (96, 112, 120))
        stage.box(left + 258, 96, 4, 274, (52, 50, 54))
    stage.box(0, 330, STAGE_WIDTH, 40, (84, 78, 76))
    stage.fade(368, STAGE_HEIGHT, (196, 188, 176), (214, 208, 198))
    stage.paving(368, (160, 150, 138, 150), gap=70)


def draw_car_park(stage: Stage) -> None:
    """Draws parked cars in marked bays before a concrete wall."""
    stage.fade(0, 220, (168, 174, 180), (150, 154, 158))
    for left in stage.steps(0, STAGE_WIDTH, 180, 240):
        stage.box(left, 0, 6, 200, (120, 124, 128))
    stage.box(0, 60, STAGE_WIDTH, 12, (196, 60, 52))
    stage.fade(200, STAGE_HEIGHT, (62, 64, 70), (84, 86, 92))
    for left in range(-60, STAGE_WIDTH + 200, 230):
        near = STAGE_WIDTH / 2 + (left - STAGE_WIDTH / 2) * 1.7
        stage.paint.line((left, 250, near, STAGE_HEIGHT), fill=(216, 214, 206), width=9)
    for left in stage.steps(-150, STAGE_WIDTH, 390, 520):
        stage.box(left + 10, 296, 330, 22, (30, 30, 34, 170))
        stage.stand(draw_occluder("car", stage.rng), left, 310, 132)


def draw_corridor(stage: Stage) -> None:
    """Draws doors and notices along an indoor corridor with a shiny floor."""
    stage.fade(0, 360, (206, 212, 204), (220, 224, 216))
    stage.box(0, 210, STAGE_WIDTH, 150, (120, 156, 158))
    stage.box(0, 204, STAGE_WIDTH, 8, (84, 112, 116))
    for left in stage.steps(30, STAGE_WIDTH, 230, 340):
        stage.box(left - 8, 20, 126, 330, (92, 82, 70))
        stage.box(left, 28, 110, 322, stage.choose(((170, 128, 82), (150, 108, 70))))
        stage.box(left + 66, 60, 26, 90, (190, 206, 210))
        stage.box(left + 8, 196, 18, 6, (220, 220, 216))
        stage.box(left + 140, 100, 60, 76, stage.choose(((240, 236, 210), (190, 60, 56))))
    stage.box(0, 346, STAGE_WIDTH, 16, (70, 74, 78))
    stage.fade(362, STAGE_HEIGHT, (168, 160, 140), (196, 188, 166))
    stage.paving(362, (146, 138, 120, 150), gap=120)
    for left in stage.steps(40, STAGE_WIDTH, 200, 300):
        stage.box(left, 362, 70, STAGE_HEIGHT - 362, (255, 255, 250, 50))


def draw_station(stage: Stage) -> None:
    """Draws a tiled platform with columns, posters, a name band and a warning strip."""
    stage.box(0, 0, STAGE_WIDTH, 340, (206, 204, 190))
    for left in range(0, STAGE_WIDTH, 34):
        stage.box(left, 0, 2, 340, (176, 174, 162))
    for top in range(0, 340, 22):
        stage.box(0, top, STAGE_WIDTH, 2, (176, 174, 162))
    stage.box(0, 84, STAGE_WIDTH, 40, (34, 62, 120))
    adverts = ((226, 120, 60), (60, 150, 140), (120, 70, 130), (230, 200, 90), (60, 60, 66))
    for left in stage.steps(20, STAGE_WIDTH, 220, 300):
        colour = stage.choose(adverts)
        stage.box(left + 40, 92, 90, 24, (238, 238, 232))
        stage.box(left - 5, 139, 160, 150, (70, 72, 76))
        stage.box(left, 144, 150, 140, colour)
        stage.paint.ellipse((left + 20, 164, left + 90, 234), fill=shade(colour, 1.4))
        stage.box(left + 20, 250, 110, 12, shade(colour, 0.5))
    for left in stage.steps(-30, STAGE_WIDTH, 300, 420):
        stage.box(left, 0, 46, 400, (104, 38, 40))
        stage.box(left + 32, 0, 14, 400, (74, 26, 30))
    stage.fade(340, STAGE_HEIGHT, (108, 106, 112), (128, 126, 130))
    stage.paving(340, (88, 86, 94, 120), gap=150)
    stage.box(0, 480, STAGE_WIDTH, 34, (224, 188, 56))
    for left in range(6, STAGE_WIDTH, 20):
        stage.paint.ellipse((left, 490, left + 10, 502), fill=(190, 156, 40))


def draw_plaza(stage: Stage) -> None:
    """Draws steps and planters before a glass front, on bright stone."""
    stage.fade(0, 230, (96, 128, 152), (140, 168, 182))
    for left in range(0, STAGE_WIDTH, 86):
        tint = stage.rng.uniform(0.8, 1.15)
        stage.box(left + 4, 0, 78, 226, (*shade((112, 144, 166), tint), 160))
        stage.box(left, 0, 6, 230, (60, 68, 76))
    for top in (70, 150):
        stage.box(0, top, STAGE_WIDTH, 6, (60, 68, 76))
    for row in range(5):
        stage.box(0, 230 + 24 * row, STAGE_WIDTH, 24, shade((198, 192, 182), 1 + 0.03 * row))
        stage.box(0, 230 + 24 * row, STAGE_WIDTH, 7, (140, 134, 128))
    stage.fade(350, STAGE_HEIGHT, (206, 200, 188), (226, 222, 212))
    stage.paving(350, (168, 160, 150, 160), gap=110)
    for left in stage.steps(30, STAGE_WIDTH, 300, 460):
        stage.stand(draw_occluder("bush", stage.rng), left + 10, 340, 120)
        stage.box(left, 320, 150, 60, (120, 112, 104))
        stage.box(left - 6, 314, 162, 12, (146, 138, 130))


SCENES: tuple[Callable[[Stage], None], ...] = (
    draw_street,
    draw_brick_wall,
    draw_park,
    draw_shop_front,
    draw_car_park,
    draw_corridor,
    draw_station,
    draw_plaza,
)


def draw_panorama(scene: int, rng: np.random.Generator) -> Image.Image:
    """Draws a scene as an RGB image of PANORAMA_HEIGHT x PANORAMA_WIDTH pixels.

    `scene` is an index into SCENES; `rng` decides the layout.
    """
    stage = Stage(rng)
    SCENES[scene](stage)
    small = stage.image.reduce(2)
    # Noise at two scales makes large surfaces look natural.
    coarse = rng.normal(0.0, 0.05, (PANORAMA_HEIGHT // 24, PANORAMA_WIDTH // 24))
    stains = Image.fromarray(coarse.astype(np.float32)).resize(small.size, Image.Resampling.BICUBIC)
    grain = rng.normal(0.0, 0.03, (PANORAMA_HEIGHT, PANORAMA_WIDTH))
    factor = (1.0 + np.asarray(stains) + grain)[..., None]
    return Image.fromarray(np.clip(np.asarray(small) * factor, 0, 255).astype(np.uint8))
