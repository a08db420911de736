"""A real headless Chromium that opens a page from disk, and what it saw there."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

# Without the last ones Chromium looks for its maker's hosts at every start.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
VIEWS = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "is_mobile": True,
        "has_touch": True,
        "device_scale_factor": 2,
    },
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}


def missing(what):
    """In CI nothing is skipped for want of a browser."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing; .ci/run brings it")
    pytest.skip(f"no {what}")


@contextlib.contextmanager
def chromium():
    """Starts the browser; Debian's package, or what CHROMIUM names."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        missing("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser, path, view="desktop"):
    """Yields a page, and the list of what it said on its console or asked the network for."""
    context = browser.new_context(**VIEWS[view])
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else said.append(request.url)
        ),
    )
    page.goto(Path(path).absolute().as_uri())
    yield page, said
    context.close()


def faults(page):
    """The serious accessibility faults that axe-core finds; AXE_CORE names its script."""
    script = os.environ.get("AXE_CORE")
    if not script:
        missing("axe-core (AXE_CORE)")
    page.add_script_tag(content=Path(script).read_text())
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        (of["id"], [node["html"][:200] for node in of["nodes"][:3]])
        for of in found
        if of["impact"] in ("serious", "critical")
    ]


def reached_by_keyboard(page, most=400):
    """What the tab key reaches from the top, until it comes round, as texts of elements."""
    page.evaluate("document.activeElement.blur()")
    name = """() => {
        const of = document.activeElement;
        if (!of || of === document.body) return "";
        if (!of.dataset.seen) of.dataset.seen = "yes"; else return "";
        return of.tagName + " " + (of.name || of.id || of.textContent.trim().slice(0, 30));
    }"""
    found = []
    for _ in range(most):
        page.keyboard.press("Tab")
        told = page.evaluate(name)
        if not told:
            break
        found.append(told)
    return found
