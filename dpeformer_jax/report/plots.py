"""The plots of a report. Each line has a colour, a dash and a name, so that it reads in grey."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpeformer_jax.pictures.style import INK, LINES, RIGHT, WRONG, series_colour
from dpeformer_jax.report.content import Plot
from dpeformer_jax.report.inline_svg import DRAWN_IN_INK, SETTINGS, inline_svg
from dpeformer_jax.retrieval.verdict import Judge
from dpeformer_jax.retrieval.verification import Impostors

SIZE = (5.2, 3.4)  # inches
RANKS = 50  # of the CMC
BARS = 60  # of a distribution of distances


def cmc_plot(name: str, first: Mapping[str, np.ndarray]) -> Plot:
    """Draws, by run, the share of queries with a match among the first k.

    first: [Q] rank of the first match of each query that has one.
    """
    figure, axes = _blank("rank k", "queries with a match by rank k, %")
    places = np.arange(1, RANKS + 1)
    for place, (run, ranks) in enumerate(first.items()):
        shares = 100 * (ranks[:, None] <= places).mean(axis=0)
        axes.step(places, shares, where="mid", label=run, **_style(place))
    axes.set_xlim(1, RANKS)
    axes.set_ylim(0, 100)
    shares = {run: 100 * (ranks <= 1).mean() for run, ranks in first.items()}
    told = "; ".join(f"{run}: {share:.1f} % at rank 1" for run, share in shares.items())
    return _finished(figure, axes, name, "CMC", f"Cumulative match curve. {told}.")


def roc_plot(name: str, curves: Mapping[str, Mapping[str, Sequence[Any]]]) -> Plot | None:
    """Draws, by run, true-accept rates over false-accept rates; curves: "roc" of eval.json."""
    if not curves:
        return None
    figure, axes = _blank("pairs of two people accepted (FAR), %", "of one person (TAR), %")
    for place, (run, curve) in enumerate(curves.items()):
        known = [tar is not None for tar in curve["tar"]]
        rates = 100 * np.array(curve["far"])[known]
        accepted = 100 * np.array([tar for tar in curve["tar"] if tar is not None])
        axes.plot(rates, accepted, label=run, marker=".", ms=3, **_style(place))
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    told = "Receiver operating characteristic: of pairs of one person, the share that is accepted."
    return _finished(figure, axes, name, "ROC", told)


def kept_plot(name: str, counts: Mapping[str, np.ndarray], patches: int) -> Plot | None:
    """Draws how many patches were kept of each query; counts: [Q] by what the queries are."""
    if not counts:
        return None
    figure, axes = _blank("kept patches K", "queries, %")
    edges = np.linspace(0, patches, min(patches, 32) + 1)
    for place, (told, of) in enumerate(counts.items()):
        share = 100 * np.histogram(of, edges)[0] / max(len(of), 1)
        axes.stairs(share, edges, label=f"{told} (median {np.median(of):.0f})", **_style(place))
    axes.set_xlim(0, patches)
    told = "; ".join(f"{name}: median {np.median(of):.0f}" for name, of in counts.items())
    title = f"Kept patches, of {patches}"
    return _finished(figure, axes, name, title, f"How many patches DPSM keeps. {told}.")


def distances_plot(name: str, genuine: np.ndarray, impostors: Impostors, judge: Judge) -> Plot:
    """Draws the distances of pairs of one person and of two, with the calibrated threshold."""
    figure, axes = _blank("squared distance", "pairs, % of their kind a bar")
    step = max(len(impostors.counts) // BARS, 1)
    used = np.flatnonzero(impostors.counts)
    end = (max(used[-1] if len(used) else 0, genuine.max() / impostors.width) // step + 1) * step
    edges = np.arange(0, end + step, step) * impostors.width
    cut = np.add.reduceat(impostors.counts, np.arange(0, len(impostors.counts), step))
    others = np.zeros(len(edges) - 1)
    others[: len(cut)] = cut[: len(others)]
    ours = np.histogram(genuine, edges)[0]
    for label, counts, colour, line in (
        ("one person", ours, RIGHT, "-"),
        ("two people", others, WRONG, "--"),
    ):
        share = 100 * counts / max(counts.sum(), 1)
        axes.stairs(share, edges, label=label, color=colour, ls=line, lw=1.8)
    told = "No thresholds are calibrated."
    if judge.accepts is not None:
        told = f"same up to {judge.accepts.distance:.3f}, for FAR {100 * judge.accepts.far:g} %"
        axes.axvline(judge.accepts.distance, color=INK, lw=1.2, ls=":", label=told)
    title = "Distances of pairs"
    return _finished(figure, axes, name, title, f"{title} of one person and of two people. {told}")


def training_plots(lines: Mapping[str, Sequence[Mapping[str, float]]]) -> Iterator[Plot]:
    """Yields plots of what metrics.jsonl tells of each run: the loss, and scores on the way."""
    losses = {run: _series(of, "loss") for run, of in lines.items()}
    losses = {run: series for run, series in losses.items() if len(series)}
    if losses:
        figure, axes = _blank("epoch", "loss")
        for place, (run, series) in enumerate(losses.items()):
            axes.plot(*series.T, label=run, **_style(place))
        told = "; ".join(f"{run}: {s[0, 1]:.2f} to {s[-1, 1]:.2f}" for run, s in losses.items())
        yield _finished(figure, axes, "loss", "Loss", f"Training loss. {told}.")
    names = sorted({name for of in lines.values() for line in of for name in line if _is_map(name)})
    found = {
        f"{run}, {name.removeprefix('scores/').removesuffix('/mAP')}": _series(of, name)
        for run, of in lines.items()
        for name in names
    }
    found = {told: series for told, series in found.items() if len(series)}
    if found:
        figure, axes = _blank("epoch", "mAP, %")
        for place, (label, series) in enumerate(found.items()):
            axes.plot(series[:, 0], 100 * series[:, 1], label=label, marker=".", **_style(place))
        told = "mAP on the test sets during training. It chose no checkpoint."
        yield _finished(figure, axes, "watched", "Scores during training", told)


def _is_map(name: str) -> bool:
    return name.startswith("scores/") and name.endswith("/mAP")


def _series(lines: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    """Returns [n, 2] epoch, with a share of it from the step within, and value."""
    ends: dict[float, float] = {}
    for line in lines:
        ends[line["epoch"]] = max(ends.get(line["epoch"], 0), line["step"])
    found = []
    for line in lines:
        if name in line:
            first, end = ends.get(line["epoch"] - 1, 0), ends[line["epoch"]]
            within = (line["step"] - first) / max(end - first, 1)
            found.append((line["epoch"] - 1 + within, line[name]))
    return np.array(found, float).reshape(-1, 2)


def _blank(across: str, up: str) -> tuple[Figure, Axes]:
    with rc_context(DRAWN_IN_INK | SETTINGS):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.grid(color=INK, alpha=0.15, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _style(place: int) -> dict[str, Any]:
    return {"color": series_colour(place), "ls": LINES[place % len(LINES)], "lw": 1.8}


def _finished(figure: Figure, axes: Axes, name: str, title: str, told: str) -> Plot:
    with rc_context(DRAWN_IN_INK | SETTINGS):
        axes.legend(fontsize=8, frameon=False)
    return Plot(title, inline_svg(figure, name), told)
