"""Writes a checkpoint as a folder that runs without this package."""

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.weights import load_weights
from dpeformer_jax.export import onnx_file, stablehlo
from dpeformer_jax.export.difference import measured
from dpeformer_jax.export.graph import exported_spec, graph_of
from dpeformer_jax.extractor import Extractor
from dpeformer_jax.retrieval.verdict import read_judge

VERSION = 1
FORMATS = {"stablehlo": stablehlo, "onnx": onnx_file}
DESCRIPTION = "export.json"
MOST = 1e-4  # that a feature may differ from the checkpoint's
PACKAGES = {"stablehlo": ("jax",), "onnx": ("jax", "jax2onnx", "onnxruntime")}


def export(
    checkpoint: Path,
    target: Path,
    form: str,
    *,
    fixed_size: bool = False,
    opset: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a folder with the network and DESCRIPTION, whole or not at all.

    The network takes uint8 RGB pictures [B, h, w, 3] of any number and size, resizes and normalises
    them, and gives named features and kept patches. It computes in float32.

    Args:
        checkpoint: workdir of a training, a checkpoint, or a converted network.
        form: "stablehlo" or "onnx".
        fixed_size: leaves the resizing out: the pictures must have the network's size.
        opset: of ONNX, 17 to 23; None for 20.
        overwrite: replaces the target.

    Returns:
        The content of DESCRIPTION.

    Raises:
        UserError: the target exists, the checkpoint is none or mixes the pictures of a batch, an
            extra is missing, the result differs from the checkpoint by more than MOST, or what is
            to be replaced is no export.
    """
    if form not in FORMATS:
        raise UserError(f"format {form!r} is not one of {', '.join(FORMATS)}")
    choices = _choices(form, opset)
    _refuse_existing(target, overwrite)
    weights = load_weights(checkpoint)
    weights.refuse_incomplete()
    spec = exported_spec(weights.spec)
    extractor = Extractor(weights.variables, spec)
    with atomic_write(target.absolute()) as folder:
        folder.mkdir()
        graph = graph_of(spec, fixed_size)
        FORMATS[form].write(folder, graph, weights.variables, spec, fixed_size, **choices)
        difference = measured(FORMATS[form].runner(folder), extractor, fixed_size)
        _refuse_different(difference["features"])
        judge = read_judge(weights.folder, extractor.fingerprint, extractor.feature)
        told = {
            "version": VERSION,
            "format": form,
            **choices,
            "input": _input_told(extractor, fixed_size),
            "features": extractor.widths,
            "compare_by": extractor.feature,
            "thresholds": [level._asdict() for level in judge.levels],
            "difference": difference,
            "weights": extractor.fingerprint,
            "spec": spec.to_json(),
            "computed_in": {"export": "float32", "checkpoint": weights.spec.dtype},
            "packages": {name: version(name) for name in PACKAGES[form]},
            "files": {file.name: _sha256(file) for file in sorted(folder.iterdir())},
        }
        text = json.dumps(told, indent=2) + "\n"
        (folder / DESCRIPTION).write_text(text)
    return json.loads(text)


def _choices(form: str, opset: int | None) -> dict[str, int]:
    if form == "onnx":
        opset = onnx_file.OPSET if opset is None else opset
        if opset not in onnx_file.OPSETS:
            first, last = onnx_file.OPSETS[0], onnx_file.OPSETS[-1]
            raise UserError(f"--opset={opset} is not one of {first} to {last}")
        return {"opset": opset}
    if opset is not None:
        raise UserError(f"--opset={opset} is for --format onnx")
    return {}


def _refuse_existing(target: Path, overwrite: bool) -> None:
    """Raises UserError where the target cannot be written or is not an export to replace."""
    if not target.parent.is_dir():
        raise UserError(f"{target.parent} is not a folder; make it first")
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise UserError(f"{target} exists already; choose another name, or give --overwrite")
    if target.is_symlink() or not (target / DESCRIPTION).is_file():
        raise UserError(f"{target} holds no export, so it is not replaced; choose another name")


def _input_told(extractor: Extractor, fixed_size: bool) -> dict[str, Any]:
    spec = extractor.spec
    size = list(spec.image_size) if fixed_size else "any"
    cameras = [list(camera) for camera in spec.cameras] or list(range(spec.sie_rows))
    return {
        "images": {"dtype": "uint8", "layout": "[batch, height, width, RGB]", "size": size},
        "camera_row": cameras if spec.sie_rows else None,
        "network_size": list(spec.image_size),
    }


def _refuse_different(features: dict[str, float]) -> None:
    wrong = {name: of for name, of in features.items() if not of <= MOST}  # NaN is wrong too
    if wrong:
        told = ", ".join(f"{name} by {of:.2g}" for name, of in wrong.items())
        raise UserError(
            f"the exported network differs from the checkpoint ({told}), and at most {MOST:g} is "
            "accepted; nothing is written. Please report this with the output of `dpeformer info`"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
