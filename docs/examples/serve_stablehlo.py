"""Compares pictures by an exported network: python serve_stablehlo.py FOLDER a.jpg b.jpg ...

FOLDER is what `dpeformer export --format stablehlo` wrote. This needs jax, flatbuffers, numpy and
Pillow.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np
from PIL import Image, ImageOps

folder, *paths = map(Path, sys.argv[1:])
told = json.loads((folder / "export.json").read_text())
network = jax.export.deserialize(bytearray((folder / "network.stablehlo").read_bytes()))
weights = jax.device_put(dict(np.load(folder / "weights.npz")))
run = jax.jit(network.call)  # compiled once for each size of pictures
size, name = told["input"]["images"]["size"], told["compare_by"]


def picture(path: Path) -> np.ndarray:
    """Reads a picture upright, as uint8 [1, height, width, 3]."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    if size != "any":  # exported with --fixed-size: resized here
        image = image.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image)[None]


def feature(path: Path) -> np.ndarray:
    """Returns the feature at length 1 and says how many patches show the person."""
    inputs = [picture(path)]
    if told["input"]["camera_row"] is not None:  # the network embeds the camera: here the first
        inputs.append(np.zeros(1, np.int32))
    found = jax.device_get(run(weights, *inputs))
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
