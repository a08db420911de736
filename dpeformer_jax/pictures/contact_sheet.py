"""A picture of what a search found: a query a row, its answers beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import PictureError, open_picture, to_rgb

TILE, MARGIN, TEXT = (112, 224), 12, 14  # pixels: of a picture, between two, of a line
LINES = 3  # of a caption
FORMATS = (".jpg", ".jpeg", ".png", ".webp")
MOST = 200  # rows: a JPEG has at most 65,535 lines
PAPER, INK, FAINT, QUERY = "white", "#222222", "#d8d8d8", "#0b57a4"


class Tile(NamedTuple):
    """A picture and the lines below it, at most LINES."""

    path: str
    lines: tuple[str, ...]


class Row(NamedTuple):
    """A query and its answers; note: what stands in place of answers where there are none."""

    query: Tile
    answers: Sequence[Tile]
    note: str


def write_sheet(target: Path, rows: Sequence[Row]) -> None:
    """Draws at most MOST rows and writes the picture, whole or not at all.

    A picture that is not there any more is a grey field with its name.

    Raises:
        UserError: the file exists, or its name ends with none of FORMATS.
    """
    check_sheet(target)
    sheet = draw_sheet(rows)
    with atomic_write(target) as partial, partial.open("wb") as file:
        sheet.save(file, Image.registered_extensions()[target.suffix.lower()], quality=90)


def check_sheet(target: Path) -> None:
    """Raises UserError where a file exists, or its name ends with none of FORMATS."""
    if target.exists():
        raise UserError(f"--sheet={target} exists already; choose another name")
    if target.suffix.lower() not in FORMATS:
        raise UserError(f"--sheet={target} must be named *{', *'.join(FORMATS)}")


def draw_sheet(rows: Sequence[Row]) -> Image.Image:
    """Draws the rows one below the other."""
    height = TILE[1] + LINES * TEXT + 2 * MARGIN
    columns = 1 + max([len(row.answers) for row in rows] + [2])
    width = columns * (TILE[0] + MARGIN) + 3 * MARGIN
    sheet = Image.new("RGB", (width, max(height * len(rows), height)), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(TEXT - 3)
    for number, row in enumerate(rows):
        top = number * height + MARGIN
        _paste(sheet, draw, font, row.query, MARGIN, top, QUERY)
        left = TILE[0] + 4 * MARGIN
        divider = left - 2 * MARGIN + MARGIN // 2
        draw.line([(divider, top), (divider, top + TILE[1] + LINES * TEXT)], FAINT, 2)
        for place, answer in enumerate(row.answers):
            _paste(sheet, draw, font, answer, left + place * (TILE[0] + MARGIN), top, INK)
        if not row.answers:
            draw.text((left, top + TILE[1] // 2), row.note, INK, ImageFont.load_default(TEXT))
    return sheet


def _paste(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    tile: Tile,
    left: int,
    top: int,
    colour: str,
) -> None:
    try:
        picture = to_rgb(open_picture(tile.path))
        picture.thumbnail(TILE, Image.Resampling.BICUBIC)
        if picture.height < TILE[1] and picture.width < TILE[0]:
            scale = min(TILE[0] / picture.width, TILE[1] / picture.height)
            size = round(picture.width * scale), round(picture.height * scale)
            picture = picture.resize(size, Image.Resampling.BICUBIC)
    except PictureError:
        picture = Image.new("RGB", TILE, FAINT)
    sheet.paste(picture, (left + (TILE[0] - picture.width) // 2, top + TILE[1] - picture.height))
    for line, text in enumerate(tile.lines[:LINES]):
        draw.text((left, top + TILE[1] + 2 + line * TEXT), _fitted(font, text), colour, font)


def _fitted(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> str:
    """Cuts a text that is wider than a picture, at its start: the ends of names differ."""
    if font.getlength(text) <= TILE[0]:
        return text
    while text and font.getlength(f"...{text}") > TILE[0]:
        text = text[1:]
    return f"...{text}"
