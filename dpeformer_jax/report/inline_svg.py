"""Figures of matplotlib as parts of an HTML page, in the page's own colours and font."""

import io
import re

from matplotlib import rc_context
from matplotlib.figure import Figure

from dpeformer_jax.pictures.style import INK

# Text stays text, so that it can be searched, scaled and read aloud.
SETTINGS = {"svg.fonttype": "none", "font.family": "sans-serif", "axes.unicode_minus": False}
DRAWN_IN_INK = {
    name: INK
    for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
}


def inline_svg(figure: Figure, name: str) -> str:
    """Returns a figure as an SVG element; name: unlike that of any other figure in the page.

    What is drawn in INK takes the colour of the text around it, so that it suits a dark page. The
    same figure gives the same text.
    """
    file = io.StringIO()
    with rc_context(SETTINGS):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # the page's own
    # Ids must differ between the figures of a page, and matplotlib's hold an object's address.
    numbers = {own: f"{name}-{n}" for n, own in enumerate(re.findall(r'\bid="([^"]+)"', svg))}
    svg = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{numbers[found[1]]}"', svg)
    svg = re.sub(r'(url\(|href=")#([^")]+)', lambda found: f"{found[1]}#{numbers[found[2]]}", svg)
    return svg.replace(INK, "currentColor")
