"""Writes the lines of the benchmarks as Markdown tables between two marks of a page."""

from collections.abc import Mapping, Sequence
from typing import Any

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
HEAD = "| figure | setting | value | peer | ratio |\n|---|---|---|---|---|\n"

Line = Mapping[str, Any]


def page_with(page: str, machines: Sequence[Sequence[Line]]) -> str:
    """Returns the page with a table for each machine in place of its present tables."""
    return page_between(page, BEGIN, END, "\n".join(table(lines) for lines in machines if lines))


def page_between(page: str, begin: str, end: str, text: str) -> str:
    """Returns the page with the text between two marks."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{text}\n{end}{after}"


def table(lines: Sequence[Line]) -> str:
    """Returns the table of one machine's lines under its name."""
    machine, versions = lines[0]["machine"], lines[0]["versions"]
    if machine["platform"] == "cpu":
        name = f"{machine['cpu']}, {machine['cores']} cores"
    else:
        name = f"{machine['devices']} x {machine['device']}"
    packages = ", ".join(f"{package} {version}" for package, version in versions.items())
    return f"### {name}\n\n{packages}\n\n{HEAD}" + "".join(map(row, lines))


def row(line: Line) -> str:
    """Returns a line as a row of a table."""
    peer = line["peer"]
    compared = [f"{peer['name']}: {number(peer['value'])}", f"{peer['ratio']:.2f}"] if peer else []
    value = f"{number(line['value'])} {line['unit']}"
    cells = [line["benchmark"], setting(line["config"]), value, *(compared or ["", ""])]
    return f"| {' | '.join(cells)} |\n"


def setting(config: Mapping[str, Any]) -> str:
    """Returns a setting in few words, without the default attention."""
    if "variant" not in config:
        return without_network(config)
    words = [config["variant"], "{} x {}".format(*config["image_size"])]
    words += [f"batch {config['batch_size']}", config["dtype"]]
    words += [config["attention"]] if config["attention"] != "xla" else []
    return ", ".join([*words, *filter(None, [config.get("start")])])


def without_network(config: Mapping[str, Any]) -> str:
    """Returns in few words what features are scored."""
    gallery = config["gallery"] + config["distractors"]
    words = [f"{config['queries']:,} x {gallery:,} images", f"{config['width']:,} numbers"]
    return ", ".join([*words, config["storage"]])


def number(value: float) -> str:
    """Formats a number with three digits, or with all digits before the point if it has more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
