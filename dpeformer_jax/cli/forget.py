"""Removes a person, or single pictures, from an index for good.

  dpeformer forget people.index --identity anna
  dpeformer forget people.index --path /pictures/a.jpg
  dpeformer forget people.index --finish

Afterwards no file of the index holds the features, the name or the paths. Copies and backups, files
of features, contact sheets and the pictures themselves are yours to remove. Nobody else may write
to an index in an object store meanwhile. --finish ends a removal that was interrupted.
Exit code: 0 removed, 1 there was nothing to remove, 2 something must be mended first.
"""

import argparse
import os

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.cli import arguments

HELP = "removes a person from a gallery for good"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("index", metavar="INDEX", help="what `dpeformer index add` made")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--identity", metavar="NAME", help="the person")
    chosen.add_argument("--path", nargs="+", metavar="PATH", help="pictures, as they were enrolled")
    chosen.add_argument("--finish", action="store_true", help="end an interrupted removal")
    arguments.add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    from dpeformer_jax.retrieval.gallery import Gallery

    gallery = Gallery.open(given.index)
    finished = gallery.unfinished
    if given.finish:
        gallery.finish_forgetting()
        arguments.show(given, {"finished": finished}, f"{given.index}: nothing is left to remove")
        return 0
    if given.identity == "":
        raise UserError("--identity needs a name; pictures without one are removed by --path")
    paths = None
    if given.path is not None:
        paths = sorted({*given.path, *map(os.path.abspath, given.path)})
    removed = gallery.forget(identity=given.identity, paths=paths)
    told = {"removed": removed, "finished": finished}
    text = f"{given.index}: pictures removed: {removed}"
    if finished:
        text += "; nothing is left of what an earlier, interrupted removal had removed"
    arguments.show(given, told, text)
    return 0 if removed or finished else 1
