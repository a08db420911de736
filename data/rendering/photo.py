"""Takes photos of persons with cameras."""

import io
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .camera import Camera
from .figure import GROUND_ROW, PIXELS_PER_UNIT, WIDTH, Pose, draw_person
from .occluders import KINDS, draw_occluder
from .occlusion import occlude
from .wardrobe import Person

PHOTO_WIDTH, PHOTO_HEIGHT = 128, 256
STANDING_PIXELS = 222  # height of a person of height 1 at zoom 1
FEET_ROW = 244
NOISE_MARGIN = 256


@dataclass(frozen=True)
class Photo:
    """A JPEG file of PHOTO_HEIGHT x PHOTO_WIDTH pixels and the silhouette's visible share."""

    jpeg: bytes
    visible: float


def take_photo(
    person: Person, camera: Camera, rng: np.random.Generator, occluded: bool = False
) -> Photo:
    """Takes a photo; the same arguments and the same state of `rng` give the same bytes.

    With `occluded`, an occluder leaves 0.4 .. 0.7 of the person's silhouette visible; the rest of
    the photo stays the same. Raises ValueError if the occluder cannot hide that much, which does
    not happen to persons from `make_person`.
    """
    # Separate generators keep the rest of the photo the same when an occluder is drawn.
    seeds = rng.integers(2**63, size=4)
    scene_rng, pose_rng, occluder_rng, sensor_rng = map(np.random.default_rng, seeds)
    picture = _background(camera, scene_rng)
    figure, feet = _place_person(person, camera, pose_rng)
    _drop_shadow(picture, camera, feet)
    picture.paste(figure, (0, 0), figure)
    visible = 1.0
    if occluded:
        silhouette = np.asarray(figure.getchannel("A"), np.float32) / 255
        kind = KINDS[occluder_rng.integers(len(KINDS))]
        cutout = draw_occluder(kind, occluder_rng)
        layer, hidden = occlude(silhouette, kind, cutout, occluder_rng)
        picture.paste(layer, (0, 0), layer)
        visible = 1.0 - hidden
    return Photo(_expose(picture, camera, sensor_rng), visible)


def _background(camera: Camera, rng: np.random.Generator) -> Image.Image:
    """Returns a random crop of the camera's panorama."""
    panorama = camera.panorama()
    left = int(rng.integers(panorama.width - PHOTO_WIDTH + 1))
    top = int(rng.integers(panorama.height - PHOTO_HEIGHT + 1))
    return panorama.crop((left, top, left + PHOTO_WIDTH, top + PHOTO_HEIGHT))


def _place_person(
    person: Person, camera: Camera, rng: np.random.Generator
) -> tuple[Image.Image, tuple[float, float]]:
    """Returns the person as an RGBA layer of the photo's size and the pixel below the hips."""
    eighth = math.pi / 4
    pose = Pose(
        phase=rng.uniform(0, math.tau),
        orientation=eighth * rng.integers(8) + rng.uniform(-0.25, 0.25),
        stride=rng.uniform(0.14, 0.40),
        swing=rng.uniform(0.12, 0.42),
        elevation=camera.elevation + rng.uniform(-0.03, 0.03),
        light=camera.light,
        gaze=rng.normal(0.0, 0.15),
    )
    # A detector crops persons by their size, so that most of the difference in height is lost.
    pixels = STANDING_PIXELS * camera.zoom * rng.uniform(0.93, 1.04) / person.build.height**0.7
    feet = (PHOTO_WIDTH / 2 + rng.normal(0, 4), FEET_ROW + rng.uniform(-6, 5))
    figure = draw_person(person, pose)
    box = figure.getbbox()
    # Cropping the empty margin first halves the cost of the transform.
    origin = (WIDTH / 2 - box[0], GROUND_ROW - box[1])
    layer = figure.crop(box).transform(
        (PHOTO_WIDTH, PHOTO_HEIGHT),
        Image.Transform.AFFINE,
        _affine(camera, PIXELS_PER_UNIT / pixels, feet, origin),
        Image.Resampling.BILINEAR,
    )
    return layer, feet


def _affine(
    camera: Camera, scale: float, feet: tuple[float, float], origin: tuple[float, float]
) -> tuple[float, ...]:
    """Returns the affine map from photo to figure pixels that takes `feet` to `origin`."""
    cosine, sine = scale * math.cos(camera.tilt), scale * math.sin(camera.tilt)
    slant = sine + scale * camera.shear
    return (
        cosine,
        slant,
        origin[0] - cosine * feet[0] - slant * feet[1],
        -sine,
        cosine,
        origin[1] + sine * feet[0] - cosine * feet[1],
    )


def _drop_shadow(picture: Image.Image, camera: Camera, feet: tuple[float, float]) -> None:
    """Darkens the ground under the feet and on the side away from the light."""
    x, y = feet
    away = -20 * camera.light
    small = Image.new("L", (PHOTO_WIDTH // 4, PHOTO_HEIGHT // 4))
    paint = ImageDraw.Draw(small)
    box = (x + away - 34, y - 7, x + away + 34, y + 9)
    paint.ellipse([edge / 4 for edge in box], fill=60)
    paint.ellipse([edge / 4 for edge in (x - 18, y - 4, x + 18, y + 6)], fill=120)
    mask = small.resize(picture.size, Image.Resampling.BICUBIC)
    picture.paste((12, 12, 18), (0, 0), mask)


def _expose(picture: Image.Image, camera: Camera, rng: np.random.Generator) -> bytes:
    """Applies light, colour cast, blur, sensor noise and compression; returns the JPEG file."""
    levels = np.arange(256.0)
    gain = camera.brightness * rng.uniform(0.92, 1.08)
    curves = []
    for cast in camera.cast:
        tint = gain * cast * rng.uniform(0.97, 1.03)
        curve = 128 + (levels * tint - 128) * camera.contrast
        curves.append(np.clip(curve, 0, 255))
    lit = picture.point(np.concatenate(curves).astype(np.uint8).tolist())
    soft = lit.filter(ImageFilter.BoxBlur(camera.blur * rng.uniform(0.8, 1.2)))
    row, column = rng.integers(NOISE_MARGIN, size=2)
    noise = _noise()[row : row + PHOTO_HEIGHT, column : column + PHOTO_WIDTH] * camera.noise
    noisy = np.clip(np.asarray(soft) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=int(rng.integers(60, 92)))
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    """Returns cached unit noise; each photo uses a window of it, since new noise is slow."""
    shape = (PHOTO_HEIGHT + NOISE_MARGIN, PHOTO_WIDTH + NOISE_MARGIN, 3)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
