"""Options that several commands have."""

import argparse
import json
from pathlib import Path
from typing import Any

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.places import is_url
from dpeformer_jax.extraction.feature_file import SUFFIXES


def path(text: str) -> Path:
    """Reads a path; ~ is the user's folder."""
    return Path(text).expanduser()


def location(text: str) -> Path | str:
    """Reads a path, or a URL of an object store such as s3://bucket/folder."""
    return text if is_url(text) else path(text)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Adds the pictures, and what is known of them."""
    parser.add_argument(
        "sources",
        nargs="+",
        type=location,
        metavar="SOURCE",
        help="picture, folder (also s3://bucket/folder), list (*.txt, a path a line) or table "
        "(*.csv with the column path and, where known, identity, camera, time); with --boxes a "
        "video or a folder of frames",
    )
    parser.add_argument(
        "--boxes",
        type=path,
        metavar="FILE",
        help="the people in a video: a table frame,x,y,w,h[,track] (frames from 0, pixels), or "
        "MOTChallenge's format",
    )


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Adds how identity, camera and time of the pictures are found."""
    group = parser.add_argument_group("what is known of the pictures")
    group.add_argument("--identity", default="", metavar="NAME", help="the person on all of them")
    group.add_argument("--camera", default="", metavar="NAME", help="the camera of all of them")
    group.add_argument(
        "--time",
        default="",
        metavar="TIME",
        help="of all of them: seconds since 1970, or 2026-11-27T08:30:00 (UTC)",
    )
    group.add_argument(
        "--folders", action="store_true", help="the name of a picture's folder is the person"
    )
    group.add_argument(
        "--names",
        default="",
        metavar="PATTERN",
        help="regular expression that file names open with, as "
        r"'(?P<identity>\d+)_c(?P<camera>\d+)'; the third group is time",
    )


def add_checkpoint(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Adds the checkpoint."""
    parser.add_argument(
        "--checkpoint",
        required=required,
        type=path,
        metavar="PATH",
        help="workdir of a training, a checkpoint in it, or what convert_weights.py wrote",
    )


def add_network(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Adds the checkpoint and how it is run."""
    add_checkpoint(parser, required)
    parser.add_argument(
        "--batch-size", type=positive, default=32, metavar="N", help="pictures at once (32)"
    )
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="that decode pictures (as Python chooses)"
    )


def add_far(parser: argparse.ArgumentParser) -> None:
    """Adds the false-accept rate."""
    parser.add_argument(
        "--far",
        type=float,
        metavar="RATE",
        help="share of the pairs of two people that may count as one: a rate that was calibrated, "
        "as 0.01 (default: 0.001, or what was calibrated nearest to it)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds the choice of the output's form."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def positive(text: str) -> int:
    """Reads a whole number of at least 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def show(given: argparse.Namespace, told: dict[str, Any], text: str) -> None:
    """Prints a result as JSON or as text, as the command line asks for."""
    print(json.dumps(told, indent=2) if given.json else text)


def load_extractor(given: argparse.Namespace) -> Any:
    """Returns the Extractor of --checkpoint; JAX starts here."""
    from dpeformer_jax.extractor import Extractor
    from dpeformer_jax.runtime.compilation import keep_compiled

    keep_compiled()
    return Extractor.load(given.checkpoint, batch_size=given.batch_size, threads=given.threads)


def feature_files(given: argparse.Namespace) -> list[Path]:
    """Returns the files of features that the command line names; none where it names pictures.

    Raises:
        UserError: it names both, or what is known of pictures, which the files tell themselves.
    """
    files = [Path(source) for source in given.sources if Path(source).suffix in SUFFIXES]
    if files and len(files) < len(given.sources):
        raise UserError("give pictures or files of features (*.npz, *.parquet), not both at once")
    told = given.boxes, given.identity, given.camera, given.time, given.folders, given.names
    if files and any(told):
        raise UserError(
            f"{files[0]} tells identity, camera and time itself; leave the options for them out"
        )
    if not files and given.checkpoint is None:
        raise UserError("pictures need --checkpoint=PATH; files of features (*.npz) do not")
    return files


def pictures_of(given: argparse.Namespace) -> Any:
    """Returns the pictures that the command line names: a Listing or a VideoListing."""
    from dpeformer_jax.extraction.listing import Labels, Listing
    from dpeformer_jax.extraction.video import VideoListing

    fields = ("identity", "camera", "time", "folders", "names")
    labels = Labels(**{name: getattr(given, name) for name in fields})
    if given.boxes is None:
        return Listing(given.sources, labels)
    if len(given.sources) > 1:
        raise UserError(
            f"--boxes={given.boxes} is of one video, and {len(given.sources)} sources are given"
        )
    return VideoListing(Path(given.sources[0]), given.boxes, labels)
