"""Finds people in an index.

  dpeformer search people.index a.jpg --checkpoint runs/mine --sheet answers.jpg
  dpeformer search people.index FOLDER --camera north --other-cameras --checkpoint runs/mine
  dpeformer search people.index features.npz --checkpoint runs/mine

With thresholds stored beside the checkpoint (`main.py --mode=calibrate`), answers beyond the
threshold are left out, and nobody is found where none is left. Without them the nearest are shown,
whoever they are; so they are with --all. A threshold is of pairs: a search in N pictures makes N
comparisons, so it finds somebody wrong more often.
Exit code: 0 somebody is found, 1 nobody for any query, 2 something must be mended first.
"""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.cli import arguments

if TYPE_CHECKING:
    from dpeformer_jax.pictures.contact_sheet import Row
    from dpeformer_jax.retrieval.gallery import Gallery, Hit
    from dpeformer_jax.retrieval.gallery_filter import Filter
    from dpeformer_jax.retrieval.verdict import Judge
    from dpeformer_jax.serving.searching import Answer

HELP = "who is it?"
NOBODY = "nobody"
LOG = logging.getLogger("dpeformer_jax.cli.search")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("index", metavar="INDEX", help="what `dpeformer index add` made")
    arguments.add_sources(parser)
    arguments.add_network(parser, required=False)
    parser.add_argument(
        "--top", type=arguments.positive, default=10, metavar="N", help="answers a query (10)"
    )
    arguments.add_far(parser)
    parser.add_argument("--all", action="store_true", help="show answers beyond the threshold too")
    parser.add_argument(
        "--sheet", type=arguments.path, metavar="FILE", help="write a picture of the answers"
    )
    parser.add_argument(
        "--approximate", action="store_true", help="faster, by what `dpeformer index build` made"
    )
    group = parser.add_argument_group("who may be found")
    group.add_argument(
        "--other-cameras", action="store_true", help="pictures of other cameras than the query's"
    )
    group.add_argument(
        "--only-camera", action="append", default=[], metavar="NAME", help="may be repeated"
    )
    group.add_argument(
        "--not-identity", action="append", default=[], metavar="NAME", help="may be repeated"
    )
    group.add_argument("--after", default="", metavar="TIME", help="as --time; at or after it")
    group.add_argument("--before", default="", metavar="TIME", help="as --time; before it")
    arguments.add_labels(parser)
    arguments.add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    from dpeformer_jax.pictures.contact_sheet import check_sheet
    from dpeformer_jax.retrieval.gallery import Gallery
    from dpeformer_jax.serving.matching import judge_of
    from dpeformer_jax.serving.searching import search

    if given.sheet is not None:
        check_sheet(given.sheet)
    files = arguments.feature_files(given)
    if given.checkpoint is None and given.far is not None:
        raise UserError(f"--far={given.far:g} needs --checkpoint=PATH, which holds the thresholds")
    extractor = None if given.checkpoint is None else arguments.load_extractor(given)
    network = None if extractor is None else extractor.fingerprint
    gallery = Gallery.open(given.index, network=network)
    judge = None if extractor is None else judge_of(extractor, given.far)
    _warn(judge)
    answers = search(
        gallery,
        _queries(given, files, extractor, gallery),
        top=given.top,
        where=_filter(given),
        other_cameras=given.other_cameras,
        judge=None if given.all else judge,
        approximate=given.approximate,
    )
    return _shown(given, answers, judge)


def _shown(given: argparse.Namespace, answers: Iterator["Answer"], judge: "Judge | None") -> int:
    from dpeformer_jax.pictures.contact_sheet import MOST, write_sheet

    found, readable, told, rows = False, False, [], []
    for answer in answers:
        found, readable = found or bool(answer.hits), readable or not answer.error
        if given.sheet is not None and len(rows) < MOST:
            rows.append(_row(answer))
            if len(rows) == MOST:
                LOG.warning("%s shows the first %d queries", given.sheet, MOST)
        if given.json:
            told.append(_with_verdicts(answer, judge))
        else:
            print("\n".join(_lines(answer, judge)), flush=True)
    if given.json:
        arguments.show(given, {"answers": told}, "")
    if given.sheet is not None:
        write_sheet(given.sheet, rows)
    if not readable:
        raise UserError("no query could be read; the lines above tell why")
    return 0 if found else 1


def _queries(
    given: argparse.Namespace, files: list[Path], extractor: Any, gallery: "Gallery"
) -> Iterator[Any]:
    from dpeformer_jax.extraction.pieces import rows_of_file, rows_of_pictures

    for file in files:
        yield from rows_of_file(file, gallery.network, gallery.feature)
    if not files:
        yield from rows_of_pictures(extractor, arguments.pictures_of(given), "searching")


def _filter(given: argparse.Namespace) -> "Filter":
    from dpeformer_jax.extraction.items import seconds_of
    from dpeformer_jax.retrieval.gallery_filter import Filter

    after, before = (seconds_of(text) if text else None for text in (given.after, given.before))
    return Filter(
        not_identities=tuple(given.not_identity),
        cameras=tuple(given.only_camera),
        after=after,
        before=before,
    )


def _warn(judge: "Judge | None") -> None:
    if judge is None:
        LOG.warning("no --checkpoint: no thresholds, the nearest are shown, whoever they are")
    elif judge.accepts is None:
        LOG.warning("%s; the nearest are shown, whoever they are", judge.reason)


def _with_verdicts(answer: "Answer", judge: "Judge | None") -> dict[str, Any]:
    told = answer.to_json()
    for hit in told["hits"]:
        hit["verdict"] = None if judge is None else judge.verdict(hit["distance"])
    return told


def _lines(answer: "Answer", judge: "Judge | None") -> list[str]:
    if answer.error:
        return [answer.error]
    if not answer.hits:
        return [f"{answer.query}: {NOBODY}"]
    lines = [f"{answer.query}:"]
    for place, hit in enumerate(answer.hits, 1):
        verdict = None if judge is None else judge.verdict(hit.distance)
        words = [f"{place:4}  {hit.distance:.3f}", *_about(hit), hit.path]
        lines.append("  ".join([*words[:1], f"{verdict:9}", *words[1:]] if verdict else words))
    return lines


def _about(hit: "Hit") -> list[str]:
    camera = None if hit.camera is None else f"camera {hit.camera}"
    return [hit.identity or "unnamed", *([camera] if camera else [])]


def _row(answer: "Answer") -> "Row":
    from dpeformer_jax.pictures.contact_sheet import Row, Tile

    name = Path(answer.query).name
    tiles = [
        Tile(hit.path, (f"{hit.distance:.3f}", " ".join(_about(hit)), Path(hit.path).name))
        for hit in answer.hits
    ]
    return Row(Tile(answer.query, ("query", name)), tiles, answer.error or NOBODY)
