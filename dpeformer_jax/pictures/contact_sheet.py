"""A picture of rankings, as papers show them: a query a row, its answers beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.base.pictures import Source
from dpeformer_jax.pictures.fitted import fitted
from dpeformer_jax.pictures.style import FAINT, INK, PAPER, RIGHT, WRONG
from dpeformer_jax.pictures.target import check_target

TILE, MARGIN, TEXT = (112, 224), 12, 14  # pixels: of a picture, between two, of a line
LINES = 3  # of a caption
FORMATS = (".jpg", ".jpeg", ".png", ".webp")
MOST = 200  # rows: a JPEG has at most 65,535 lines
FRAME, DASH, BADGE = 4, 7, 22  # pixels: width of a frame, its dashes, its mark
QUERY = "#0b57a4"  # colour of a query's caption
# Lines of the marks, in shares of a mark's size.
TICK = (((0.2, 0.55), (0.42, 0.78)), ((0.42, 0.78), (0.82, 0.25)))
CROSS = (((0.25, 0.25), (0.78, 0.78)), ((0.25, 0.78), (0.78, 0.25)))


class Tile(NamedTuple):
    """A picture and the lines below it, at most LINES.

    right: whether it shows the person that was asked for, None where nobody knows. A right one has
    a green frame and a tick, a wrong one a red, dashed frame and a cross.
    """

    picture: Source
    lines: tuple[str, ...]
    right: bool | None = None


class Row(NamedTuple):
    """A query and its answers.

    note: what stands in place of answers where there are none; title: above the row.
    """

    query: Tile
    answers: Sequence[Tile]
    note: str
    title: str = ""


def write_sheet(target: Path, rows: Sequence[Row]) -> None:
    """Draws at most MOST rows and writes the picture, whole or not at all.

    A picture that is not there any more is a grey field with its name.

    Raises:
        UserError: the file exists, or its name ends with none of FORMATS.
    """
    check_sheet(target)
    save_sheet(target, rows)


def save_sheet(target: Path, rows: Sequence[Row]) -> None:
    """Draws at most MOST rows and writes the picture in place of an older one."""
    sheet = draw_sheet(rows)
    with atomic_write(target) as partial, partial.open("wb") as file:
        sheet.save(file, Image.registered_extensions()[target.suffix.lower()], quality=90)


def check_sheet(target: Path) -> None:
    """Raises UserError where a file exists, or its name ends with none of FORMATS."""
    check_target(target, FORMATS, "--sheet")


def draw_sheet(rows: Sequence[Row]) -> Image.Image:
    """Draws the rows one below the other."""
    titled = TEXT + MARGIN // 2 if any(row.title for row in rows) else 0
    height = titled + TILE[1] + LINES * TEXT + 2 * MARGIN
    columns = 1 + max([len(row.answers) for row in rows] + [2])
    width = columns * (TILE[0] + MARGIN) + 3 * MARGIN
    sheet = Image.new("RGB", (width, max(height * len(rows), height)), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(TEXT - 3)
    for number, row in enumerate(rows):
        top = number * height + MARGIN
        draw.text((MARGIN, top), row.title, INK, ImageFont.load_default(TEXT))
        top += titled
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
    picture = fitted(tile.picture, TILE)
    corner = left + (TILE[0] - picture.width) // 2, top + TILE[1] - picture.height
    sheet.paste(picture, corner)
    if tile.right is not None:
        _mark(draw, corner, picture.size, tile.right)
    for line, text in enumerate(tile.lines[:LINES]):
        draw.text((left, top + TILE[1] + 2 + line * TEXT), _fitted(font, text), colour, font)


def _mark(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], size: tuple[int, int], right: bool
) -> None:
    """Draws a frame and a mark in the lower right corner of a picture."""
    (left, top), colour = corner, RIGHT if right else WRONG
    end, bottom = left + size[0] - 1, top + size[1] - 1
    draw.rectangle((left, top, end, bottom), outline=colour, width=FRAME)
    if not right:  # paper over the frame makes dashes of it
        inner = FRAME - 1
        for x in range(left + DASH, end - DASH, 2 * DASH):
            draw.rectangle((x, top, x + DASH, top + inner), PAPER)
            draw.rectangle((x, bottom - inner, x + DASH, bottom), PAPER)
        for y in range(top + DASH, bottom - DASH, 2 * DASH):
            draw.rectangle((left, y, left + inner, y + DASH), PAPER)
            draw.rectangle((end - inner, y, end, y + DASH), PAPER)
    x, y = end - BADGE, bottom - BADGE
    draw.rectangle((x, y, end, bottom), colour)
    for ends in TICK if right else CROSS:
        draw.line([(x + BADGE * across, y + BADGE * down) for across, down in ends], PAPER, 3)


def _fitted(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> str:
    """Cuts a text that is wider than a picture, at its start: the ends of names differ."""
    if font.getlength(text) <= TILE[0]:
        return text
    while text and font.getlength(f"...{text}") > TILE[0]:
        text = text[1:]
    return f"...{text}"
