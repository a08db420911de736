"""Tells whether two pictures show the same person.

  dpeformer match a.jpg b.jpg --checkpoint runs/mine

The answer comes from thresholds that `main.py --mode=calibrate` has stored with the checkpoint:
same, different, or unsure where the pictures do not tell. Without them the distance is all.
Exit code: 0 same (or no thresholds), 1 different or unsure, 2 something must be mended first.
"""

import argparse
from typing import TYPE_CHECKING

from dpeformer_jax.cli import arguments

if TYPE_CHECKING:
    from dpeformer_jax.serving.matching import Match

HELP = "is it the same person?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("first", type=arguments.path, metavar="A", help="a picture")
    parser.add_argument("second", type=arguments.path, metavar="B", help="another one")
    arguments.add_network(parser)
    arguments.add_far(parser)
    parser.add_argument(
        "--cameras",
        nargs=2,
        default=("", ""),
        metavar=("A", "B"),
        help="of the two pictures, where the network embeds the camera",
    )
    arguments.add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    from dpeformer_jax.serving.matching import match

    pictures = given.first, given.second
    extractor = arguments.load_extractor(given)
    found = match(extractor, *pictures, cameras=tuple(given.cameras), far=given.far)
    arguments.show(given, found.to_json(), as_text(found))
    return 0 if found.verdict in ("same", None) else 1


def as_text(found: "Match") -> str:
    """Returns the answer in words."""
    distance = f"distance {found.distance:.3f} (cosine {found.cosine:.3f}, {found.feature})"
    if found.verdict is None:
        return f"{distance}\nno verdict: {found.reason}"
    if found.level is None:
        return f"{found.verdict}\n{distance}, beyond every calibrated threshold"
    share = f"{100 * found.level.far:g} %"
    if found.level.interval is not None:
        low, high = (100 * rate for rate in found.level.interval)
        share += f" (95 % interval {low:.2g} to {high:.2g} %)"
    return f"{found.verdict}\n{distance}; of pairs of two people {share} are as near"
