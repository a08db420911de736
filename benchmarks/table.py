"""Lines of the benchmarks as Markdown, between two marks of a page."""

from collections.abc import Mapping, Sequence
from typing import Any

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
HEAD = "| figure | setting | value | peer | ratio |\n|---|---|---|---|---|\n"

Line = Mapping[str, Any]


def page_with(page: str, machines: Sequence[Sequence[Line]]) -> str:
    """The page with a table for each machine in the place of those it had."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(table(lines) for lines in machines if lines)
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


def table(lines: Sequence[Line]) -> str:
    """The lines of one machine under its name."""
    machine, versions = lines[0]["machine"], lines[0]["versions"]
    if machine["platform"] == "cpu":
        name = f"{machine['cpu']}, {machine['cores']} cores"
    else:
        name = f"{machine['devices']} x {machine['device']}"
    packages = ", ".join(f"{package} {version}" for package, version in versions.items())
    return f"### {name}\n\n{packages}\n\n{HEAD}" + "".join(map(row, lines))


def row(line: Line) -> str:
    """A line as a row."""
    peer = line["peer"]
    compared = [f"{peer['name']}: {number(peer['value'])}", f"{peer['ratio']:.2f}"] if peer else []
    value = f"{number(line['value'])} {line['unit']}"
    cells = [line["benchmark"], setting(line["config"]), value, *(compared or ["", ""])]
    return f"| {' | '.join(cells)} |\n"


def setting(config: Mapping[str, Any]) -> str:
    """In a few words; what is as usual is not said."""
    words = [config["variant"], "{} x {}".format(*config["image_size"])]
    words += [f"batch {config['batch_size']}", config["dtype"]]
    words += [config["attention"]] if config["attention"] != "xla" else []
    return ", ".join([*words, *filter(None, [config.get("start")])])


def number(value: float) -> str:
    """Three digits or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
