"""Enrols people in an index, a gallery on disk or in an object store that is searched.

  dpeformer index add people.index FOLDER --folders --checkpoint runs/mine
  dpeformer index add people.index table.csv --checkpoint runs/mine
  dpeformer index add people.index features.npz
  dpeformer index add s3://bucket/people.index FOLDER --camera north --checkpoint runs/mine
  dpeformer index info people.index
  dpeformer index build people.index --kind ivf

An index belongs to the network that made it and refuses features of others. A picture that it
holds already, by its path, is passed over: after an interruption the same command goes on.
Needs the extra gallery: pip install 'dpeformer_jax[gallery]'
"""

import argparse
import dataclasses
from typing import Any

from dpeformer_jax.base.errors import some
from dpeformer_jax.cli import arguments

HELP = "enrols people in a gallery that can be searched"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands and their options."""
    commands = parser.add_subparsers(dest="action", metavar="add|info|build", required=True)
    add = commands.add_parser("add", help="enrol pictures, or files of features")
    _add_index(add)
    arguments.add_sources(add)
    arguments.add_network(add, required=False)
    arguments.add_labels(add)
    info = commands.add_parser("info", help="what an index holds")
    _add_index(info)
    build = commands.add_parser("build", help="make searches faster, and tell what they miss")
    _add_index(build)
    build.add_argument("--kind", choices=("ivf", "hnsw"), default="ivf", help="(ivf)")
    for command in (add, info, build):
        arguments.add_json(command)


def run(given: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    return {"add": _add, "info": _info, "build": _build}[given.action](given)


def _add_index(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="INDEX", help="folder, or s3://..., gs://...")


def _add(given: argparse.Namespace) -> int:
    from dpeformer_jax.serving.enrolment import enrol_file, enrol_pictures

    if files := arguments.feature_files(given):
        done = [enrol_file(given.index, file) for file in files]
    else:
        pictures, extractor = arguments.pictures_of(given), arguments.load_extractor(given)
        done = [enrol_pictures(given.index, extractor, pictures)]
    told = _sum([dataclasses.asdict(of) for of in done])
    text = f"{given.index}: {told['new']} enrolled"
    if told["known"]:
        text += f", {told['known']} were there already"
    if told["unreadable"]:
        text += f", {told['unreadable']} could not be read: {some(told['errors'])}"
    arguments.show(given, told, text)
    return 0


def _sum(done: list[dict[str, Any]]) -> dict[str, Any]:
    first, *others = done
    return {name: sum((of[name] for of in others), first[name]) for name in first}


def _info(given: argparse.Namespace) -> int:
    from dpeformer_jax.retrieval.gallery import Gallery

    told = Gallery.open(given.index).info()
    width = max(map(len, told))
    arguments.show(given, told, "\n".join(f"{n:{width}}  {value}" for n, value in told.items()))
    return 0


def _build(given: argparse.Namespace) -> int:
    from dpeformer_jax.retrieval.gallery import Gallery

    told = Gallery.open(given.index).build_index(given.kind)._asdict()
    text = (
        f"{given.index} has an approximate index ({given.kind}), which finds "
        f"{100 * told['recall']:.1f} % of the 10 nearest; search with --approximate"
    )
    arguments.show(given, told, text)
    return 0
