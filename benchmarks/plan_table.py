"""Writes what compilers plan for devices that are not here as a Markdown table of a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.table import page_between, setting

BEGIN, END = "<!-- compiled: begin -->", "<!-- compiled: end -->"
HEAD = (
    "| target | program | setting | compiled in | peak | TFLOP | GB accessed | exchanges |\n"
    "|---|---|---|---|---|---|---|---|\n"
)

Line = Mapping[str, Any]


def page_with_plans(page: str, lines: Sequence[Line]) -> str:
    """Returns the page with the table in place of its present one."""
    if not lines:
        return page
    packages = ", ".join(f"{name} {number}" for name, number in lines[-1]["versions"].items())
    return page_between(page, BEGIN, END, f"{packages}\n\n{HEAD}" + "".join(map(row, lines)))


def row(line: Line) -> str:
    """Returns a program's line as a row of the table."""
    effort = line["config"]["effort"]
    told = setting(line["config"]) + (f", effort {effort:g}" if effort else "")
    cells = [line["target"], line["program"], told]
    if not line["compiles"]:
        return f"| {' | '.join([*cells, line['reason'], *[''] * 4])} |\n"
    cost = line["cost"]
    cells += [f"{line['seconds']['compile']:.0f} s", f"{line['memory']['peak']:,.0f} MiB"]
    cells += [_scaled(cost["flops"], 1e12), _scaled(cost["bytes accessed"], 1e9)]
    return f"| {' | '.join([*cells, exchanges(line['collectives'])])} |\n"


def exchanges(collectives: Sequence[Mapping[str, Any]]) -> str:
    """Returns the exchanges between devices in few words, without those below 0.05 MiB."""
    counted = [of for of in collectives if of["mib"] >= 0.05]
    return ", ".join(
        f"{of['count']} {of['kind']} {of['dtype']} {of['mib']:.0f} MiB" for of in counted
    )


def _scaled(value: float | None, unit: float) -> str:
    return "" if value is None else f"{value / unit:.3g}"
