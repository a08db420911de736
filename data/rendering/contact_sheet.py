"""Draws a grid of photos and occluders for visual inspection.

Run `python -m data.rendering.contact_sheet --output sheet.png`.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from .camera import make_camera
from .occluders import KINDS, draw_occluder
from .photo import PHOTO_HEIGHT, PHOTO_WIDTH, take_photo
from .wardrobe import make_person

PERSONS, PLAIN, OCCLUDED = 6, 8, 2
GREY = (128, 128, 128)
GAP = 4


def contact_sheet(seed: int) -> Image.Image:
    """Returns an RGB image with a row of photos per person and a row of occluders."""
    columns = PLAIN + OCCLUDED
    cell_width, cell_height = PHOTO_WIDTH + GAP, PHOTO_HEIGHT + GAP
    sheet = Image.new("RGB", (columns * cell_width, (PERSONS + 1) * cell_height), GREY)
    for row in range(PERSONS):
        person = make_person(np.random.default_rng((seed, row)))
        for column in range(columns):
            rng = np.random.default_rng((seed, row, column))
            photo = take_photo(person, make_camera(seed, column), rng, occluded=column >= PLAIN)
            picture = Image.open(io.BytesIO(photo.jpeg))
            sheet.paste(picture, (column * cell_width, row * cell_height))
    for column in range(columns):
        rng = np.random.default_rng((seed, PERSONS, column))
        cutout = draw_occluder(KINDS[column % len(KINDS)], rng)
        cutout.thumbnail((PHOTO_WIDTH, PHOTO_HEIGHT))
        sheet.paste(cutout, (column * cell_width, PERSONS * cell_height), cutout)
    return sheet


def main() -> None:
    """Writes a contact sheet to a file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    contact_sheet(arguments.seed).save(arguments.output)


if __name__ == "__main__":
    main()
