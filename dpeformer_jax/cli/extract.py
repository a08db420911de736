"""Computes features of any number of pictures and writes them to a file, a row a picture.

  dpeformer extract FOLDER --checkpoint runs/mine --to features.npz
  dpeformer extract a.jpg list.txt table.csv --checkpoint runs/mine --to features.parquet
  dpeformer extract video.mp4 --boxes tracks.csv --checkpoint runs/mine --to people.npz

The file's columns: path, identity, camera, time, kept (patches that the network took for the
person), error, and each feature by name. In Python: numpy.load("features.npz")["concat"].
A picture that cannot be read costs only its own row, whose column error says why.
After an interruption the same command goes on where it stopped.
"""

import argparse
import dataclasses

from dpeformer_jax.base.progress import as_rate
from dpeformer_jax.cli import arguments

HELP = "pictures or people in a video -> a file of features"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    arguments.add_sources(parser)
    arguments.add_network(parser)
    parser.add_argument(
        "--to",
        required=True,
        type=arguments.location,
        metavar="FILE",
        help="*.npz, *.parquet (needs the extra gallery), or s3://bucket/folder for a folder of "
        "Parquet files",
    )
    parser.add_argument(
        "--features",
        nargs="+",
        metavar="NAME",
        help="to write, as `dpeformer info` lists them (default: the one to compare pictures by)",
    )
    parser.add_argument("--strict", action="store_true", help="refuse pictures that are broken")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")
    arguments.add_labels(parser)
    group = parser.add_argument_group("many machines (extra ray)")
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="compute on a Ray cluster: its address, auto for the one this machine belongs to, "
        "local for this machine alone; pictures and FILE lie where all machines see them",
    )
    group.add_argument(
        "--workers", type=arguments.positive, metavar="N", help="processes (one a GPU, else a node)"
    )
    arguments.add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    from dpeformer_jax.extraction.extract import extract

    pictures = arguments.pictures_of(given)
    options = {"features": given.features, "strict": given.strict, "overwrite": given.overwrite}
    if given.ray is None:
        summary = extract(arguments.load_extractor(given), pictures, given.to, **options)
    else:
        from dpeformer_jax.extraction.ray_pool import extract_on_ray

        network = {"batch_size": given.batch_size, "threads": given.threads}
        pool = {"address": given.ray, "workers": given.workers}
        summary = extract_on_ray(given.checkpoint, pictures, given.to, **options, **network, **pool)
    computed = summary.pictures - summary.resumed
    text = (
        f"{summary.target}: {summary.pictures - summary.unreadable} of {summary.pictures} pictures "
        f"have features; {computed} computed in {summary.seconds:.0f} s "
        f"({as_rate(summary.rate)} a second)"
    )
    if summary.unreadable:
        text += f"; {summary.unreadable} could not be read: see the column error"
    arguments.show(given, dataclasses.asdict(summary) | {"rate": summary.rate}, text)
    return 0
