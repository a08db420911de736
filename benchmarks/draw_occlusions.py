"""Draws docs/occlusions.jpg: the occluded view of drawn people for each choice of occlusion.

python -m benchmarks.draw_occlusions --output docs/occlusions.jpg
"""

import argparse
import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from configs.default import OCCLUSIONS
from data.occluders import load_cutouts
from data.rendering import make_camera, make_person, take_photo
from dpeformer_jax.model.pixels import from_uint8
from dpeformer_jax.training.occlusion import occlusion_of

PEOPLE, SIZE, GAP = 6, (256, 128), 4  # SIZE: (height, width); GAP: between pictures; in pixels


def photos() -> np.ndarray:
    """Draws one picture of each of PEOPLE people: uint8 [PEOPLE, *SIZE, 3]."""
    pictures = []
    for number in range(PEOPLE):
        person = make_person(np.random.default_rng((0, number)))
        photo = take_photo(person, make_camera(0, number), np.random.default_rng((1, number)))
        pictures.append(np.asarray(Image.open(io.BytesIO(photo.jpeg))))
    return np.stack(pictures)


def views() -> list[np.ndarray]:
    """Returns the pictures, then their occluded views by each choice: [PEOPLE, *SIZE, 3] in 0..1.

    The choices are those of `config.views.occlusion`.
    """
    images, labels = jnp.asarray(photos()), jnp.arange(PEOPLE)
    bank, _ = load_cutouts("", SIZE)
    bank = jax.tree.map(jnp.asarray, bank)
    keys = jax.random.split(jax.random.key(0), PEOPLE)
    clean = from_uint8(images)
    rows = [clean]
    for kind in OCCLUSIONS:
        occlude = jax.jit(jax.vmap(occlusion_of(kind, bank, images, labels)))
        rows.append(occlude(keys, clean, labels))
    return [np.asarray(row) for row in rows]


def main() -> None:
    """Draws the picture, a row for each choice, at half the size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    padding = ((0, 0), (0, GAP), (0, GAP), (0, 0))
    rows = [
        np.concatenate(list(np.pad(row, padding, constant_values=1)), axis=1) for row in views()
    ]
    sheet = np.clip(np.concatenate(rows) * 255, 0, 255).round().astype(np.uint8)
    picture = Image.fromarray(sheet)
    picture.reduce(2).save(parser.parse_args().output, quality=80)


if __name__ == "__main__":
    main()
