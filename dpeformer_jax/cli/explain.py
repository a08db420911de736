"""Shows what a network looked at.

  dpeformer explain a.jpg --checkpoint runs/mine --out a.png
  dpeformer explain a.jpg b.jpg --checkpoint runs/mine --out pair.pdf

For each picture: the patches that were kept, in the order of their similarity, and the curve whose
largest drop decided it; the parts made of them; which patches the global token took its content
from. Networks of other families choose no patches, and show the attention alone. Two pictures are
compared: the figure shows how much each piece of the feature adds to their distance. A kept patch
may show an occluder: then the figure shows that.
It needs matplotlib: pip install 'dpeformer_jax[pictures]'.
Exit code: 0 it is done, 2 something must be mended first.
"""

import argparse
from pathlib import Path
from typing import Any

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.cli import arguments

HELP = "what did the network look at?"
MOST = 20  # pictures in one figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "pictures", nargs="+", type=arguments.path, metavar="PICTURE", help="one, or several"
    )
    arguments.add_network(parser)
    parser.add_argument(
        "--out",
        type=arguments.path,
        default=Path("explanation.png"),
        metavar="FILE",
        help="the figure: *.png, *.jpg, *.webp, *.svg or *.pdf (explanation.png)",
    )
    parser.add_argument(
        "--cameras", nargs="+", metavar="NAME", help="of each, where the network embeds the camera"
    )
    arguments.add_far(parser)
    arguments.add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    if len(given.pictures) > MOST:
        raise UserError(f"{len(given.pictures)} pictures are too many for a figure; give {MOST}")
    if given.cameras and len(given.cameras) != len(given.pictures):
        raise UserError(
            f"--cameras names {len(given.cameras)} cameras for {len(given.pictures)} pictures; "
            "give one for each"
        )
    from dpeformer_jax.serving.explaining import explain_to_file

    asked = {"cameras": given.cameras, "far": given.far}
    found = explain_to_file(arguments.load_extractor(given), given.pictures, given.out, **asked)
    arguments.show(given, found, as_text(found))
    return 0


def as_text(found: dict[str, Any]) -> str:
    """Returns what the figure shows, in words."""
    lines = []
    for told in found["pictures"]:
        patches = told["grid"][0] * told["grid"][1]
        kept = f"kept {told['count']} of {patches} patches" if "count" in told else "chooses none"
        lines.append(f"{told['picture']}: {kept}")
    if pair := found["pair"]:
        told = pair["verdict"] or f"no verdict: {pair['reason']}"
        lines.append(f"distance {pair['distance']:.3f} ({pair['feature']}); {told}")
        lines += [f"  {name:18} {value:.3f}" for name, value in pair["contributions"].items()]
    return "\n".join([*lines, f"{found['figure']} shows it"])
