"""Cameras with their scene, light, colour cast, sharpness and viewpoint."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from .scenery import SCENES, draw_panorama

# Each row is one look: brightness, contrast, cast (red, green, blue) and blur in pixels.
LOOKS: tuple[tuple[float, float, tuple[float, float, float], float], ...] = (
    (1.02, 1.00, (1.00, 1.00, 1.00), 0.35),
    (0.82, 0.92, (0.90, 0.98, 1.14), 0.65),
    (1.14, 1.10, (1.06, 1.04, 0.88), 0.30),
    (0.94, 1.12, (1.16, 1.00, 0.82), 0.50),
    (0.72, 0.88, (0.94, 0.98, 1.10), 0.90),
    (1.08, 0.82, (0.94, 1.08, 0.96), 0.75),
    (0.86, 1.00, (1.10, 1.06, 0.84), 0.55),
    (1.24, 0.94, (0.96, 1.00, 1.08), 0.40),
)


@dataclass(frozen=True)
class Camera:
    """The properties of a camera that affect each of its photos.

    `scene` is an index into SCENES and `layout` the seed of the scene's layout. `brightness`,
    `contrast`, `cast` (red, green, blue) and `zoom` are factors around 1. `blur` is a radius in
    pixels, `noise` the sensor's standard deviation in grey levels. `light` is the side of the light
    (-1 left, 1 right). `elevation` and `tilt` are in radians, `shear` in pixels per pixel.
    """

    scene: int
    layout: int
    brightness: float
    contrast: float
    cast: tuple[float, float, float]
    blur: float
    noise: float
    light: float
    elevation: float
    tilt: float
    shear: float
    zoom: float

    def panorama(self) -> Image.Image:
        """Returns the camera's scene as an RGB image wider than a photo; the image is cached."""
        return _panorama(self.scene, self.layout)


def make_camera(seed: int, index: int) -> Camera:
    """Returns camera `index` of the world `seed`; the first len(SCENES) cameras differ in scene."""
    rng = np.random.default_rng((seed, index))
    scene = index % len(SCENES)
    brightness, contrast, cast, blur = LOOKS[(index + index // len(SCENES)) % len(LOOKS)]
    return Camera(
        scene=scene,
        layout=int(rng.integers(2**31)),
        brightness=brightness * rng.uniform(0.97, 1.03),
        contrast=contrast,
        cast=cast,
        blur=blur * rng.uniform(0.9, 1.1),
        noise=rng.uniform(2.0, 6.0),
        light=float(rng.choice((-1.0, 1.0))),
        elevation=rng.uniform(0.06, 0.30),
        tilt=rng.uniform(-0.035, 0.035),
        shear=rng.uniform(-0.04, 0.04),
        zoom=rng.uniform(0.95, 1.03),
    )


@lru_cache(maxsize=64)
def _panorama(scene: int, layout: int) -> Image.Image:
    return draw_panorama(scene, np.random.default_rng(layout))
