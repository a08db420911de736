"""Tells what a checkpoint is: network, training pictures, scores, thresholds.

dpeformer info runs/mine
"""

import argparse
from typing import Any

from dpeformer_jax.cli import arguments

HELP = "what is this checkpoint?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument(
        "checkpoint",
        type=arguments.path,
        metavar="CHECKPOINT",
        help="workdir of a training, a checkpoint in it, or what convert_weights.py wrote",
    )
    arguments.add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    from dpeformer_jax.serving.description import describe

    told = describe(given.checkpoint)
    arguments.show(given, told, "\n".join(_lines(told)))
    return 0


def _lines(told: dict[str, Any]) -> list[str]:
    step = "" if told["step"] is None else f", step {told['step']}"
    lines = [f"checkpoint   {told['checkpoint']}{step}", f"weights      {told['weights']}"]
    return [*lines, *_network(told), *_origin(told), *_scores(told), *_thresholds(told)]


def _network(told: dict[str, Any]) -> list[str]:
    spec = told["spec"]
    if spec is None:
        return ["network      none: a memory bank alone"]
    height, width = spec["image_size"]
    whole = "" if told["whole"] else "; not whole: it can start a training only"
    lines = [
        f"network      {spec['family']}, {spec['variant']}, {height} x {width} pixels (height x "
        f"width), {told['parameters']:,} parameters{whole}",
        "features     " + ", ".join(f"{n} ({w})" for n, w in told["features"].items()),
    ]
    if spec["sie_rows"]:
        cameras = ", ".join(f"{name} {camera}" for name, camera in spec["cameras"])
        lines.append(f"cameras      {cameras or spec['sie_rows']}, embedded")
    return lines


def _origin(told: dict[str, Any]) -> list[str]:
    trained, converted = told["trained_on"], told["converted_from"]
    if trained is not None:
        named = trained.get("datasets", {}).items()
        return ["trained on   " + ", ".join(f"{n} ({of['fingerprint'][:8]})" for n, of in named)]
    if converted is not None:
        return [f"converted    from {converted.get('source', 'an unnamed file')}"]
    return ["trained on   not recorded"]


def _scores(told: dict[str, Any]) -> list[str]:
    if not told["scores"]:
        return ["scores       none of these weights; `main.py --mode=eval` computes them"]
    return [
        f"scores       {data}, {feature}: "
        + ", ".join(f"{name} {100 * value:.1f} %" for name, value in of.items())
        for data, features in told["scores"].items()
        for feature, of in features.items()
    ]


def _thresholds(told: dict[str, Any]) -> list[str]:
    if told["calibration"] is None:
        return ["thresholds   none; `main.py --mode=calibrate` finds them"]
    return [
        f"thresholds   {feature}: "
        + ", ".join(
            f"{of['distance']:.3f} for {100 * of['far']:g} % false accepts"
            for of in thresholds
            if of["distance"] is not None
        )
        for feature, thresholds in told["calibration"].items()
    ]
