"""How far an exported network is from its checkpoint."""

from typing import Any

import numpy as np
from PIL import Image

from dpeformer_jax.export.graph import Run
from dpeformer_jax.extracted import Extracted
from dpeformer_jax.extractor import Extractor
from dpeformer_jax.features import SELECTED

PICTURES = 8
COARSE = (8, 4)  # pixels of the noise that is enlarged to a picture
OTHER = (1.4, 1.7)  # sides of pictures of another size, relative to the network's


def measured(run: Run, extractor: Extractor, fixed_size: bool) -> dict[str, Any]:
    """Compares the features of PICTURES drawn pictures, as an Extractor and as the export gives
    them.

    Returns:
        "features": the largest difference of each feature; "kept": the patches that only one of
        them keeps, of all pictures; "resized": the same of pictures of another size, None with
        `fixed_size`.
    """
    height, width = extractor.spec.image_size
    own = _compared(run, extractor, (height, width))
    other = round(height * OTHER[0]), round(width * OTHER[1])
    return {**own, "resized": None if fixed_size else _compared(run, extractor, other)}


def _compared(run: Run, extractor: Extractor, size: tuple[int, int]) -> dict[str, Any]:
    images, rows = drawn(size), np.arange(PICTURES, dtype=np.int32)
    rows = [rows % extractor.spec.sie_rows] if extractor.spec.sie_rows else []
    found, expected = run(images, *rows), extractor([*images], *rows)
    return {"features": _largest(found, expected), "kept": _kept(found, expected)}


def drawn(size: tuple[int, int]) -> np.ndarray:
    """Returns PICTURES smooth pictures [PICTURES, *size, 3] uint8, always the same."""
    noise = np.random.default_rng(0).integers(0, 256, (PICTURES, *COARSE, 3), np.uint8)
    smooth = [Image.fromarray(x).resize(size[::-1], Image.Resampling.BICUBIC) for x in noise]
    return np.stack([np.asarray(image) for image in smooth])


def _largest(found: dict[str, np.ndarray], expected: Extracted) -> dict[str, float]:
    return {
        name: float(np.abs(found[name] - values).max())
        for name, values in expected.items()
        if name != SELECTED
    }


def _kept(found: dict[str, np.ndarray], expected: Extracted) -> int | None:
    if SELECTED not in expected:
        return None
    return int((np.asarray(found[SELECTED]) != expected[SELECTED]).sum())
