"""A figure of what a network made of one picture, or of two and their distance."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.explanation.explain import Choice, Explanation
from dpeformer_jax.pictures.patch_overlay import show_amounts, show_kept, show_parts, show_picture
from dpeformer_jax.pictures.style import DPI, FAINT, INK, SERIES, WRONG
from dpeformer_jax.pictures.target import check_target

FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".svg", ".pdf")
PANEL, CURVE, ROW, BARS = 1.6, 3.4, 3.1, 0.28  # inches: widths, height, height of a bar
FEWEST_BARS = 2  # that there is room for
HATCHES = ("", "///", "...")  # beside the colours of the pairs


def check_figure(target: Path) -> None:
    """Raises UserError where a file exists, or its name ends with none of FORMATS."""
    check_target(target, FORMATS, "--out")


def write_figure(target: Path, figure: Figure) -> None:
    """Writes a figure, whole or not at all, in the format that its name ends with."""
    kind = target.suffix.lower().lstrip(".")
    with atomic_write(target) as partial:
        figure.savefig(partial, format=kind, dpi=DPI)


def draw_explanations(
    explanations: Sequence[Explanation],
    titles: Sequence[str],
    pairs: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> Figure:
    """Draws a row for each picture, and below them what the distances of some are made of.

    Args:
        titles: of the pictures.
        pairs: by what is said of a pair, what each piece adds to its distance, see
            explanation/contributions.py.
    """
    chooses = any(found.choice is not None for found in explanations)
    panels = 5 if chooses else 3
    widths = [PANEL] * panels + ([CURVE] if chooses else [])
    heights = [ROW] * len(explanations)
    if pairs:
        pieces = len(next(iter(pairs.values())))
        heights.append(BARS * max(pieces * len(pairs), FEWEST_BARS) + 0.8)
    figure = Figure(figsize=(sum(widths), sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, found, title in zip(parts, explanations, titles, strict=False):
        part.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        _draw_row(list(part.subplots(1, len(widths), width_ratios=widths)), found)
    if pairs:
        _draw_bars(parts[-1].subplots(), pairs)
    return figure


def _draw_row(axes: list[Axes], found: Explanation) -> None:
    show_picture(axes[0], found.pixels, "as the network sees it")
    about = found.pixels, found.spec
    if found.choice is not None:
        show_kept(axes[1], *about, found.choice)
        show_parts(axes[2], *about, found.choice)
        draw_similarity(axes[5], found.choice, found.spec.min_patches)
    rollout, last = axes[1:3] if found.choice is None else axes[3:5]
    show_amounts(rollout, *about, found.rollout, "attention rollout")
    show_amounts(last, *about, found.last.mean(axis=0), "attention, last block")


def draw_similarity(axes: Axes, choice: Choice, fewest: int) -> None:
    """Draws the similarities in falling order, the largest drop among them, and K."""
    falling, places = choice.falling, np.arange(1, len(choice.falling) + 1)
    axes.axvspan(0.5, choice.count + 0.5, color=FAINT, alpha=0.6, lw=0)
    axes.plot(places, falling, ".-", color=INK, lw=0.8, ms=3)
    gap = choice.gap
    drop = falling[gap - 1 : gap + 1]
    axes.plot([gap, gap + 1], drop, "o-", color=WRONG, lw=2.5, ms=5)
    late = gap > len(falling) / 2
    beside = {"xytext": (-8 if late else 8, 0), "textcoords": "offset points", "va": "center"}
    side = {"ha": "right" if late else "left", "fontsize": 8, "color": WRONG}
    axes.annotate("largest drop", (gap + 0.5, drop.mean()), **beside, **side)
    axes.axvline(choice.count + 0.5, color=SERIES[0], lw=1.5)
    told = ", the fewest allowed" if choice.count == fewest else ""
    axes.set_title(f"similarity to the proxy; K = {choice.count}{told}", fontsize=9)
    axes.set_xlabel("patches, the most similar first; kept: grey", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_bars(axes: Axes, pairs: Mapping[str, Mapping[str, float]]) -> None:
    names = list(next(iter(pairs.values())))
    height, most = 0.8 / len(pairs), max(max(told.values()) for told in pairs.values())
    for place, (title, told) in enumerate(pairs.items()):
        values, total = np.array(list(told.values())), sum(told.values())
        at = np.arange(len(names)) + (place - (len(pairs) - 1) / 2) * height
        style = {"color": SERIES[place], "hatch": HATCHES[place], "edgecolor": "white"}
        label = f"{title}: distance {total:.3f}"
        bars = axes.barh(at, values, height=0.9 * height, label=label, **style)
        shares = values / total if total else values
        labels = [f"{x:.3g}  ({share:.0%})" for x, share in zip(values, shares, strict=True)]
        axes.bar_label(bars, labels, padding=4, fontsize=7, color=INK)
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(max(len(names), FEWEST_BARS) - 0.4, -0.6)
    axes.set_xlim(0, max(most * 1.25, 1e-6))
    axes.set_title("what each piece adds to the distance", fontsize=9, loc="left")
    axes.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
