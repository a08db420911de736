"""Draws a contact sheet of a bank, to look at before training with it."""

import numpy as np
from PIL import Image

COLUMNS, ROWS = 20, 10
CELL_HEIGHT = 128  # pixels
SQUARE = 8  # pixels of a square of the checkerboard, which shows where a cut-out is transparent
GREYS = (150, 200)


def contact_sheet(images: np.ndarray) -> Image.Image:
    """Returns an RGB sheet of at most COLUMNS x ROWS cut-outs, spread evenly over [M, h, w, 4]."""
    shown = np.unique(np.linspace(0, len(images) - 1, COLUMNS * ROWS).round().astype(int))
    width = max(1, CELL_HEIGHT * images.shape[2] // images.shape[1])
    sheet = _checkerboard(-(-len(shown) // COLUMNS) * CELL_HEIGHT, COLUMNS * width)
    for place, index in enumerate(shown):
        row, column = divmod(place, COLUMNS)
        cutout = Image.fromarray(images[index]).resize((width, CELL_HEIGHT))
        sheet.paste(cutout, (column * width, row * CELL_HEIGHT), cutout)
    return sheet


def _checkerboard(height: int, width: int) -> Image.Image:
    rows, columns = np.arange(height)[:, None] // SQUARE, np.arange(width) // SQUARE
    return Image.fromarray(np.array(GREYS, np.uint8)[(rows + columns) % 2]).convert("RGB")
