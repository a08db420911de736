"""Compares pictures by an exported network: python serve_onnx.py FOLDER a.jpg b.jpg ...

FOLDER is what `dpeformer export --format onnx` wrote. This needs onnxruntime, numpy and Pillow.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

folder, *paths = map(Path, sys.argv[1:])
told = json.loads((folder / "export.json").read_text())
session = onnxruntime.InferenceSession(folder / "network.onnx")
size, name = told["input"]["images"]["size"], told["compare_by"]


def picture(path: Path) -> np.ndarray:
    """Reads a picture upright, as uint8 [1, height, width, 3]."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    if size != "any":  # exported with --fixed-size: resized here
        image = image.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image)[None]


def feature(path: Path) -> np.ndarray:
    """Returns the feature at length 1 and says how many patches show the person."""
    outputs = [output.name for output in session.get_outputs()]
    inputs = {"images": picture(path)}
    if told["input"]["camera_row"] is not None:  # the network embeds the camera: here the first
        inputs["camera_row"] = np.zeros(1, np.int32)
    found = dict(zip(outputs, session.run(None, inputs), strict=True))
    if "selected" in found:
        print(f"{path}: {int(found['selected'].sum())} of {found['selected'].size} patches kept")
    return found[name][0] / np.linalg.norm(found[name][0])


features = [feature(path) for path in paths]
for row, one in enumerate(paths):
    for column in range(row + 1, len(paths)):
        distance = float(((features[row] - features[column]) ** 2).sum())
        accepted = [of["far"] for of in told["thresholds"] if distance <= of["distance"]]
        verdict = (
            f", the same person at a false-accept rate of {min(accepted):g}" if accepted else ""
        )
        print(f"{one} {paths[column]}: distance {distance:.4f}{verdict}")
