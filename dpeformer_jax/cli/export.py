"""Writes a network that runs without this package.

  dpeformer export --checkpoint runs/mine --format onnx --to exported
  dpeformer export --checkpoint runs/mine --format stablehlo --to exported
  dpeformer export --checkpoint runs/mine --format onnx --opset 17 --fixed-size --to for_tensorrt

The folder holds the network and export.json, which tells its inputs, features, thresholds and how
far it is from the checkpoint on 8 pictures: at most 0.0001, or nothing is written. The network
takes uint8 pictures of any number and size, and resizes and normalises them itself.
Needs an extra: pip install 'dpeformer_jax[onnx]' or 'dpeformer_jax[stablehlo]'
"""

import argparse

from dpeformer_jax.cli import arguments

HELP = "a network that runs without this package"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    arguments.add_checkpoint(parser)
    parser.add_argument(
        "--format",
        required=True,
        choices=("stablehlo", "onnx"),
        help="stablehlo: for JAX, on CPU, CUDA and TPU; onnx: for onnxruntime, TensorRT and others",
    )
    parser.add_argument(
        "--to", required=True, type=arguments.path, metavar="FOLDER", help="to be written"
    )
    parser.add_argument(
        "--fixed-size",
        action="store_true",
        help="leave the resizing out: pictures must have the network's size",
    )
    parser.add_argument("--opset", type=int, metavar="N", help="of ONNX, 17 to 23 (20)")
    parser.add_argument("--overwrite", action="store_true", help="replace the folder")
    arguments.add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    from dpeformer_jax.export.artefact import export

    options = {name: getattr(given, name) for name in ("fixed_size", "opset", "overwrite")}
    told = export(given.checkpoint, given.to, given.format, **options)
    largest = max(told["difference"]["features"].values())
    text = (
        f"{given.to}: {', '.join(told['files'])} and export.json\n"
        f"compare pictures by {told['compare_by']}; features differ from the checkpoint's by at "
        f"most {largest:.1g}"
    )
    arguments.show(given, told, text)
    return 0
