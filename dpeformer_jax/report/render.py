"""Renders a report as one HTML file without any reference to another file."""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dpeformer_jax.base.atomic_write import write_text
from dpeformer_jax.report.content import Page

TEMPLATES = Path(__file__).parent / "templates"


def write_page(target: Path, page: Page) -> None:
    """Writes the page, whole or not at all."""
    write_text(target, render(page))


def render(page: Page) -> str:
    """Returns the page as HTML. Texts are escaped; the plots' SVG is our own."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    read = {name: (TEMPLATES / f"report.{name}").read_text() for name in ("css", "js")}
    # "<" inside of JSON must not end the script element that holds it.
    data = json.dumps(page.browser, separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template("report.html").render(page=page, data=data, **read)
