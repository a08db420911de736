"""The appearance of persons: build, skin, hair, garments, shoes and bag.

Colours are RGB triples of 0 .. 255. The unit of length is the height of a standing adult.
"""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

# The palette is small so that many persons share a garment colour.
GARMENT_COLOURS: dict[str, Colour] = {
    "black": (34, 34, 38),
    "grey": (122, 124, 128),
    "white": (232, 231, 226),
    "navy": (38, 48, 88),
    "blue": (62, 104, 172),
    "red": (178, 44, 46),
    "green": (58, 104, 66),
    "beige": (196, 172, 132),
    "brown": (104, 72, 50),
    "yellow": (218, 178, 58),
    "pink": (214, 136, 156),
}
TROUSER_COLOURS = ("black", "grey", "navy", "blue", "beige", "brown")
SKIN_COLOURS: tuple[Colour, ...] = (
    (241, 205, 178),
    (226, 182, 148),
    (198, 148, 110),
    (150, 104, 74),
    (98, 66, 48),
)
HAIR_COLOURS: tuple[Colour, ...] = (
    (28, 24, 24),
    (62, 42, 30),
    (112, 74, 44),
    (196, 158, 92),
    (148, 66, 36),
    (158, 156, 154),
)
HAIR_STYLES = ("short", "bob", "long", "ponytail", "bun", "bald", "cap", "beanie", "headscarf")
HAIR_WEIGHTS = (0.30, 0.11, 0.14, 0.11, 0.08, 0.05, 0.09, 0.07, 0.05)
UPPER_KINDS = ("t-shirt", "shirt", "jumper", "hoodie", "jacket", "coat", "dress", "vest")
UPPER_WEIGHTS = (0.22, 0.14, 0.13, 0.13, 0.15, 0.09, 0.08, 0.06)
PATTERNS = ("plain", "stripes", "pinstripes", "checks", "block", "print")
LOWER_KINDS = ("trousers", "wide trousers", "shorts", "skirt")
LOWER_WEIGHTS = (0.52, 0.16, 0.18, 0.14)
BAG_KINDS = ("none", "rucksack", "shoulder bag", "handbag")
BAG_WEIGHTS = (0.36, 0.28, 0.20, 0.16)
PRINTS = ("disc", "panel", "lettering", "diamond")


@dataclass(frozen=True)
class Build:
    """Body proportions; every number is a factor around 1."""

    height: float
    breadth: float
    girth: float
    waist: float
    hips: float
    legs: float


@dataclass(frozen=True)
class Hair:
    """A style from HAIR_STYLES; `cover` is the colour of a cap, beanie or headscarf."""

    style: str
    colour: Colour
    cover: Colour
    beard: bool


@dataclass(frozen=True)
class Upper:
    """The garment of the upper body.

    `sleeve` is the covered share of the arm (0 bare .. 1 wrist). `hem` is the distance from the
    hips down to the hem in torso lengths. `inner` is the colour inside an open front or a print.
    """

    kind: str
    colour: Colour
    accent: Colour
    inner: Colour
    pattern: str
    motif: str
    sleeve: float
    hem: float
    open_front: bool


@dataclass(frozen=True)
class Lower:
    """The garment of the legs.

    `length` is the covered share of the leg (1 reaches the ankle). `pattern` is "plain", "side
    stripe" (trousers and shorts) or "stripes" (skirts).
    """

    kind: str
    colour: Colour
    accent: Colour
    pattern: str
    length: float


@dataclass(frozen=True)
class Shoes:
    """The colours of shoe and sole; boots also cover part of the shin."""

    colour: Colour
    sole: Colour
    boots: bool


@dataclass(frozen=True)
class Bag:
    """A bag of a kind in BAG_KINDS at one side of the person (-1 right, 1 left)."""

    kind: str
    colour: Colour
    accent: Colour
    side: int


@dataclass(frozen=True)
class Person:
    """The appearance of an identity, which is the same in each pose, light and camera."""

    build: Build
    skin: Colour
    hair: Hair
    upper: Upper
    lower: Lower
    shoes: Shoes
    bag: Bag


def make_person(rng: np.random.Generator) -> Person:
    """Samples one identity; advances `rng`."""
    feminine = bool(rng.random() < 0.5)
    return Person(
        build=_make_build(rng, feminine),
        skin=SKIN_COLOURS[rng.integers(len(SKIN_COLOURS))],
        hair=_make_hair(rng, feminine),
        upper=_make_upper(rng, feminine),
        lower=_make_lower(rng, feminine),
        shoes=_make_shoes(rng),
        bag=_make_bag(rng),
    )


def _pick(rng: np.random.Generator, options: tuple[str, ...], weights=None) -> str:
    if weights is None:
        return options[rng.integers(len(options))]
    total = np.cumsum(weights)
    return options[int(np.searchsorted(total, rng.random() * total[-1], side="right"))]


def _garment_colour(rng: np.random.Generator, unlike: Colour | None = None) -> Colour:
    colours = [colour for colour in GARMENT_COLOURS.values() if colour != unlike]
    return colours[rng.integers(len(colours))]


def _make_build(rng: np.random.Generator, feminine: bool) -> Build:
    return Build(
        height=rng.uniform(0.90, 0.99) if feminine else rng.uniform(0.94, 1.05),
        breadth=rng.uniform(0.84, 0.98) if feminine else rng.uniform(0.94, 1.10),
        girth=rng.uniform(0.86, 1.24),
        waist=rng.uniform(0.84, 0.96) if feminine else rng.uniform(0.94, 1.08),
        hips=rng.uniform(1.0, 1.12) if feminine else rng.uniform(0.92, 1.02),
        legs=rng.uniform(0.95, 1.05),
    )


def _make_hair(rng: np.random.Generator, feminine: bool) -> Hair:
    style = _pick(rng, HAIR_STYLES, HAIR_WEIGHTS)
    if not feminine and style in ("bob", "bun", "ponytail", "headscarf"):
        style = "short"
    if feminine and style == "bald":
        style = "long"
    return Hair(
        style=style,
        colour=HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))],
        cover=_garment_colour(rng),
        beard=not feminine and bool(rng.random() < 0.3),
    )


def _make_upper(rng: np.random.Generator, feminine: bool) -> Upper:
    kind = _pick(rng, UPPER_KINDS, UPPER_WEIGHTS)
    if kind == "dress" and not feminine:
        kind = "t-shirt"
    sleeves = {"t-shirt": (0.22, 0.34), "vest": (0.0, 0.0), "dress": (0.0, 0.3)}
    hems = {"coat": (0.7, 1.25), "dress": (0.8, 1.5), "shirt": (0.0, 0.2)}
    colour = _garment_colour(rng)
    pattern = _pick(rng, PATTERNS, (0.34, 0.16, 0.06, 0.12, 0.12, 0.20))
    if kind in ("coat", "jacket") and pattern in ("print", "stripes"):
        pattern = "plain"
    sleeve = rng.uniform(*sleeves.get(kind, (0.94, 1.0)))
    if kind == "shirt" and rng.random() < 0.4:
        sleeve = 0.3
    return Upper(
        kind=kind,
        colour=colour,
        accent=_garment_colour(rng, unlike=colour),
        inner=_garment_colour(rng, unlike=colour),
        pattern=pattern,
        motif=_pick(rng, PRINTS),
        sleeve=sleeve,
        hem=rng.uniform(*hems.get(kind, (0.16, 0.36))),
        open_front=kind in ("jacket", "coat", "hoodie") and bool(rng.random() < 0.5),
    )


def _make_lower(rng: np.random.Generator, feminine: bool) -> Lower:
    kind = _pick(rng, LOWER_KINDS, LOWER_WEIGHTS)
    if kind == "skirt" and not feminine:
        kind = "trousers"
    lengths = {"shorts": (0.38, 0.54), "skirt": (0.36, 0.72)}
    plain_cloth = kind in ("trousers", "wide trousers")
    colour = GARMENT_COLOURS[_pick(rng, TROUSER_COLOURS)] if plain_cloth else _garment_colour(rng)
    return Lower(
        kind=kind,
        colour=colour,
        accent=_garment_colour(rng, unlike=colour),
        pattern=_pick(rng, ("plain", "stripes" if kind == "skirt" else "side stripe"), (0.8, 0.2)),
        length=rng.uniform(*lengths.get(kind, (0.9, 1.0))),
    )


def _make_shoes(rng: np.random.Generator) -> Shoes:
    soles = ((236, 236, 232), (30, 28, 28), (120, 84, 56))
    return Shoes(
        colour=_garment_colour(rng),
        sole=soles[rng.integers(len(soles))],
        boots=bool(rng.random() < 0.2),
    )


def _make_bag(rng: np.random.Generator) -> Bag:
    colour = _garment_colour(rng)
    return Bag(
        kind=_pick(rng, BAG_KINDS, BAG_WEIGHTS),
        colour=colour,
        accent=_garment_colour(rng, unlike=colour),
        side=1 if rng.random() < 0.5 else -1,
    )
