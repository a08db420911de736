"""What main.py's --mode=report does: report.html, one page about a scored network."""

import logging
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from configs import unpack
from configs.modes import cutouts_of
from configs.occluded import Occluded
from configs.opened_network import OpenedNetwork, judge_of, open_another, open_network
from configs.report_facts import metrics_of, run_facts
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.interfaces import Images, LabelledImages, TestSet
from dpeformer_jax.explanation.contributions import contributions
from dpeformer_jax.features import SELECTED, Features, best_of
from dpeformer_jax.model.families import build_network, outputs_of
from dpeformer_jax.report.browser import SHOWN, Seen, View, browser
from dpeformer_jax.report.content import DataSet, Page, Plot
from dpeformer_jax.report.plots import (
    cmc_plot,
    distances_plot,
    kept_plot,
    roc_plot,
    training_plots,
)
from dpeformer_jax.report.render import write_page
from dpeformer_jax.report.score_table import COLUMNS, score_rows
from dpeformer_jax.retrieval.compared_features import compared_features
from dpeformer_jax.retrieval.evaluate import of_feature
from dpeformer_jax.retrieval.scored_run import ScoredRun
from dpeformer_jax.retrieval.scoring import Scored, Scoring
from dpeformer_jax.retrieval.shown_ranking import shown_ranking
from dpeformer_jax.retrieval.verdict import Judge
from dpeformer_jax.training.experiment import ONE_VIEW

TARGET, PICTURE_BYTES = "report.html", 20 * 10**6
AS_TAKEN, BEHIND = "as taken", "behind a drawn occluder"
LOG = logging.getLogger("configs.report_pages")


class Reported(NamedTuple):
    """A run of the page. target: the feature that its rankings and distances are of."""

    name: str
    scored: ScoredRun
    network: OpenedNetwork
    target: str
    judge: Judge

    @property
    def members(self) -> tuple[str, ...]:
        """The features that `target` joins."""
        return self.network.targets[self.target]


def run_report(config: ConfigDict, workdir: Path, others: Sequence[Path]) -> None:
    """Writes report.html in the workdir.

    others: workdirs whose scores and curves stand beside the first's.

    Raises:
        UserError: a workdir has no scores, or those of other weights.
    """
    first = ScoredRun(workdir)
    scoring = unpack.scoring_of(config)
    runs = [_reported(first, open_network(config, workdir, None), scoring)]
    for other in others:
        scored = ScoredRun(other, like=first)
        runs.append(_reported(scored, open_another(config, other), scoring))
    if len({run.name for run in runs}) < len(runs):
        runs = [run._replace(name=str(run.scored.workdir)) for run in runs]
    if config.views.occlusion == ONE_VIEW:  # the page shows occluded queries all the same
        config.views.occlusion = "roa"
    bank, _ = cutouts_of(config)
    sets, views = [], []
    for place, test in enumerate(runs[0].network.tests):
        hidden = Occluded(test.query, config.views.occlusion, bank, config.seed)
        found = {run.name: _seen(run, run.network.tests[place], scoring) for run in runs}
        behind = _hidden(runs[0], test, scoring, hidden, found[runs[0].name])
        sets.append(_data_set(runs, test, found, behind, place))
        views += _views(runs, test, found, behind, hidden)
    page = Page(
        title=f"{' and '.join(run.name for run in runs)} on {', '.join(s.name for s in sets)}",
        made=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        command=shlex.join(["python", *sys.orig_argv[1:]]),
        columns=list(COLUMNS.values()),
        sets=sets,
        training=list(training_plots({run.name: metrics_of(run.scored) for run in runs})),
        runs=[run_facts(run.name, run.scored, run.network, run.judge) for run in runs],
        browser=_browser(runs[0], views),
    )
    write_page(workdir / TARGET, page)
    size = (workdir / TARGET).stat().st_size / 1e6
    LOG.info("%s tells it all in one file of %.1f MB", workdir / TARGET, size)


def _reported(scored: ScoredRun, network: OpenedNetwork, scoring: Scoring) -> Reported:
    path = scored.workdir / "eval.json"
    if scored.report.get("weights") != network.fingerprint:
        raise UserError(f"{path} is of other weights; {scored.mend}")
    for test in network.tests:
        if test.name not in scored.datasets:
            raise UserError(f"{path} has no scores on {test.name}; {scored.mend}")
    target = best_of(network.targets)
    judge = judge_of(network, target, scoring)
    return Reported(scored.workdir.absolute().name, scored, network, target, judge)


def _seen(run: Reported, test: TestSet, scoring: Scoring) -> Seen:
    """Ranks the gallery for a test set's queries."""
    query, kept = _features(run, test.query, test.query, scoring, "query")
    gallery, kept_gallery = _features(run, test.gallery, test.gallery, scoring, "gallery")
    shown = shown_ranking(test, query, gallery, scoring, SHOWN)
    return Seen(query, gallery, kept, kept_gallery, shown)


def _hidden(run: Reported, test: TestSet, scoring: Scoring, hidden: Images, seen: Seen) -> Seen:
    """Ranks the same gallery for the queries behind an occluder."""
    query, kept = _features(run, test.query, hidden, scoring, "hidden queries")
    shown = shown_ranking(test, query, seen.gallery, scoring, SHOWN)
    return seen._replace(query=query, kept=kept, shown=shown)


def _features(
    run: Reported, images: LabelledImages, pictures: Images, scoring: Scoring, title: str
) -> tuple[Features, np.ndarray | None]:
    """Returns the compared features of pictures of labelled people, and the kept patches."""
    selects = outputs_of(run.network.spec).selection is not None
    asked = images, [*run.members, *([SELECTED] if selects else [])], scoring
    found = compared_features(*run.network.runs, *asked, pictures=pictures, title=title)
    return found, found.pop(SELECTED, None)


def _data_set(
    runs: Sequence[Reported], test: TestSet, found: dict[str, Seen], behind: Seen, place: int
) -> DataSet:
    told = {run.name: run.scored.datasets[test.name] for run in runs}
    rows = [row for run in runs for row in score_rows(run.name, told[run.name])]
    main = runs[0]
    hidden = of_feature(Scored.of(behind.shown.ranked), test.query.identities)
    rows += score_rows(main.name, {f"{main.target}, {BEHIND}": hidden})
    own = told[main.name]
    facts = [
        ("fingerprint", own.get("fingerprint", "not recorded")),
        ("queries", f"{own['queries_used']} used, {own['queries_skipped']} without a match"),
        ("gallery", f"{len(test.gallery)} pictures"),
        ("pictures of queries in the gallery", str(own.get("duplicates", "not counted"))),
    ]
    facts += [
        (name, str(own[name])) for name in ("split", "other_counts", "skipped") if name in own
    ]
    facts.append(
        (
            BEHIND,
            "each query once more, hidden as in training; drawn for this page, with the seed of "
            "the config",
        )
    )
    return DataSet(test.name, rows, list(_plots(runs, test, found, behind, told, place)), facts)


def _plots(
    runs: Sequence[Reported],
    test: TestSet,
    found: dict[str, Seen],
    behind: Seen,
    told: dict[str, dict[str, Any]],
    place: int,
) -> Iterator[Plot]:
    first = {n: s.shown.ranking.first[s.shown.ranking.used] for n, s in found.items()}
    hidden = behind.shown.ranking
    first[f"{runs[0].name}, {BEHIND}"] = hidden.first[hidden.used]
    yield cmc_plot(f"cmc{place}", first)
    curves = {run.name: told[run.name][run.target].get("roc") for run in runs}
    curves = {name: curve for name, curve in curves.items() if curve}
    if plot := roc_plot(f"roc{place}", curves):
        yield plot
    counts = {f"{n}, {AS_TAKEN}": s.kept.sum(1) for n, s in found.items() if s.kept is not None}
    if behind.kept is not None:
        counts[f"{runs[0].name}, {BEHIND}"] = behind.kept.sum(axis=1)
    patches = int(np.prod(runs[0].network.spec.grid))
    if plot := kept_plot(f"kept{place}", counts, patches):
        yield plot
    for number, run in enumerate(runs):
        ranked = found[run.name].shown.ranked
        name = f"distances{place}-{number}"
        plot = distances_plot(name, ranked.genuine, ranked.impostors, run.judge)
        yield plot._replace(title=f"{plot.title}, {run.name} ({run.target})")


def _views(
    runs: Sequence[Reported],
    test: TestSet,
    found: dict[str, Seen],
    behind: Seen,
    hidden: Occluded,
) -> Iterator[View]:
    others = {run.name: found[run.name].shown.ranking for run in runs[1:]}

    def drawn(row: int) -> np.ndarray:
        (image,) = next(hidden.batches(np.array([[row]])))
        return np.round((image * 0.5 + 0.5).clip(0, 1) * 255).astype(np.uint8)

    yield View(test, AS_TAKEN, test.query.encoded, found[runs[0].name], others)
    yield View(test, BEHIND, drawn, behind, {})


def _browser(run: Reported, views: Sequence[View]) -> dict[str, Any]:
    network = build_network(run.network.spec)

    def pieces(one: Features, other: Features) -> dict[str, float]:
        return contributions(network, run.members, one, other)

    return browser(views, run.network.spec, run.judge, pieces, PICTURE_BYTES)
