"""Colours and sizes that all pictures share.

The colours are those of Okabe and Ito, which people with any colour vision tell apart. Whatever a
colour says, a mark, a hatch or a word says too, so that a grey print loses nothing.
"""

RIGHT, WRONG = "#009E73", "#D55E00"  # bluish green, vermilion
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
LINES = ("-", "--", "-.", ":")  # beside the colours of a series
INK, FAINT, PAPER = "#222222", "#d8d8d8", "white"
ORDER = "viridis"  # a map whose brightness rises evenly, for orders and amounts
DPI = 150


def series_colour(place: int) -> str:
    """Returns the colour of a series by its place; they repeat."""
    return SERIES[place % len(SERIES)]
