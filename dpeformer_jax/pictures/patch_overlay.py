"""Marks on the patches of a picture, with matplotlib."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from dpeformer_jax.explanation.explain import Choice
from dpeformer_jax.model.spec import NetworkSpec
from dpeformer_jax.pictures.patch_cells import cells
from dpeformer_jax.pictures.style import ORDER, series_colour

FILL = 0.55  # opacity: what was chosen stays recognisable, an occluder too


def show_picture(axes: Axes, pixels: np.ndarray, title: str) -> None:
    """Shows a picture [H, W, 3] without axes."""
    height, width = pixels.shape[:2]
    axes.imshow(pixels, extent=(0, width, height, 0), interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def show_kept(axes: Axes, pixels: np.ndarray, spec: NetworkSpec, choice: Choice) -> None:
    """Shows the kept patches, the most similar brightest, with the first places as numbers."""
    show_picture(axes, pixels, f"kept: {choice.count} of {len(choice.rank)}")
    shades = colormaps[ORDER](1 - choice.rank / max(choice.count - 1, 1) * 0.9)
    _fill(axes, spec, choice.kept, shades)
    for place in np.flatnonzero(choice.rank < min(choice.count, 9)):
        _write(axes, spec, place, str(choice.rank[place] + 1))


def show_parts(axes: Axes, pixels: np.ndarray, spec: NetworkSpec, choice: Choice) -> None:
    """Shows which part each kept patch belongs to; one at a border belongs to two."""
    show_picture(axes, pixels, "parts of these")
    of_part = choice.parts > 0
    shades = [series_colour(part) for part in of_part.argmax(axis=0)]
    _fill(axes, spec, choice.kept, shades)
    for place in np.flatnonzero(choice.kept):
        parts = np.flatnonzero(of_part[:, place]) + 1
        _write(axes, spec, place, "/".join(map(str, parts)))


def show_amounts(
    axes: Axes, pixels: np.ndarray, spec: NetworkSpec, amounts: np.ndarray, title: str
) -> None:
    """Shows an amount [N] of each patch, the largest brightest."""
    show_picture(axes, pixels, title)
    scaled = (amounts - amounts.min()) / max(np.ptp(amounts), 1e-12)
    _fill(axes, spec, np.ones(len(amounts), bool), colormaps[ORDER](scaled), 0.65)


def _fill(
    axes: Axes, spec: NetworkSpec, marked: np.ndarray, shades: Sequence[Any], opacity: float = FILL
) -> None:
    boxes = [Rectangle(corner, spec.stride, spec.stride) for corner in cells(spec)[marked]]
    colours = [shade for shade, chosen in zip(shades, marked, strict=True) if chosen]
    # One without a line would show gaps between the cells.
    line = {"edgecolors": "white", "linewidths": 0.4}
    axes.add_collection(PatchCollection(boxes, facecolors=colours, alpha=opacity, **line))


def _write(axes: Axes, spec: NetworkSpec, place: int, text: str) -> None:
    left, top = cells(spec)[place] + spec.stride / 2
    outline = [withStroke(linewidth=1.2, foreground="black")]
    size = {"fontsize": 6 if len(text) < 2 else 4.5, "color": "white"}
    axes.text(left, top, text, ha="center", va="center", path_effects=outline, **size)
