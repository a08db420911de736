"""The drawn persons, cameras and occluders have the properties that the data set relies on."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data.rendering import (
    KINDS,
    Pose,
    draw_occluder,
    draw_person,
    make_camera,
    make_person,
    photo,
    take_photo,
)
from data.rendering.contact_sheet import contact_sheet
from data.rendering.occlusion import occlude
from data.rendering.wardrobe import Bag, Person

FRONT, BACK = Pose(orientation=0.0), Pose(orientation=math.pi)


def generator(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def person_number(index: int) -> Person:
    return make_person(generator(7, index))


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)), np.float32)


def silhouette_of(person: Person, pose: Pose) -> np.ndarray:
    """Returns a silhouette [256, 128] in the size of a photo, with coverage 0 .. 1."""
    figure = draw_person(person, pose).getchannel("A").resize((194, 256)).crop((33, 0, 161, 256))
    return np.asarray(figure, np.float32) / 255


@pytest.fixture(scope="module")
def dressed() -> Person:
    """A person with a chest print, short hair and no bag."""
    person = person_number(0)
    upper = replace(
        person.upper,
        kind="t-shirt",
        pattern="print",
        motif="disc",
        colour=(232, 231, 226),
        accent=(178, 44, 46),
        open_front=False,
    )
    nothing = Bag("none", (0, 0, 0), (0, 0, 0), 1)
    return replace(person, upper=upper, hair=replace(person.hair, style="short"), bag=nothing)


@pytest.mark.parametrize("occluded", [False, True])
def test_same_seed_same_bytes(occluded):
    first, again, other = (
        take_photo(person_number(1), make_camera(3, 2), generator(seed), occluded).jpeg
        for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


def test_worlds_follow_their_seed():
    assert make_camera(3, 2) == make_camera(3, 2) != make_camera(4, 2)
    assert person_number(1) == person_number(1) != person_number(2)


def test_photo_is_an_rgb_jpeg_of_the_promised_size():
    photo = take_photo(person_number(2), make_camera(0, 0), generator(1))
    picture = Image.open(io.BytesIO(photo.jpeg))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (128, 256))
    assert photo.visible == 1.0


def test_occluded_photos_leave_the_promised_share_visible():
    shares = [
        take_photo(person_number(i), make_camera(0, i % 8), generator(i), True).visible
        for i in range(40)
    ]
    assert 0.4 <= min(shares) and max(shares) <= 0.7
    assert max(shares) - min(shares) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_hides_the_share_it_reports(kind):
    for index in range(8):
        rng = generator(11, index)
        pose = Pose(phase=index, orientation=index * math.pi / 4)
        silhouette = silhouette_of(person_number(index), pose)
        layer, hidden = occlude(silhouette, kind, draw_occluder(kind, rng), rng)
        alpha = np.asarray(layer.getchannel("A"), np.float32) / 255
        measured = (silhouette * alpha).sum() / silhouette.sum()
        assert measured == pytest.approx(hidden, abs=1e-3)
        assert 0.3 <= measured <= 0.6


def test_the_occluder_changes_only_what_it_hides(monkeypatch):
    placed = []

    def remember(silhouette, *arguments):
        layer, hidden = occlude(silhouette, *arguments)
        placed.append((silhouette, np.asarray(layer.getchannel("A")) > 127))
        return layer, hidden

    monkeypatch.setattr(photo, "occlude", remember)
    for index in range(8):
        shots = [
            take_photo(person_number(index), make_camera(0, index), generator(index), occluded)
            for occluded in (False, True)
        ]
        difference = np.abs(pixels(shots[0].jpeg) - pixels(shots[1].jpeg)).max(-1)
        silhouette, covered = placed[-1]
        body = silhouette > 0.5
        assert abs((body & covered).sum() / body.sum() - (1 - shots[1].visible)) < 0.02
        # An occluder may resemble the clothes it hides. Outside it, only JPEG changes pixels.
        assert (difference[body & covered] > 28).mean() > 0.5
        assert np.median(difference[~covered]) < 2


def test_a_back_view_hides_the_print(dressed):
    plain = replace(dressed, upper=replace(dressed.upper, pattern="plain"))
    assert draw_person(dressed, BACK).tobytes() == draw_person(plain, BACK).tobytes()
    assert draw_person(dressed, FRONT).tobytes() != draw_person(plain, FRONT).tobytes()


def test_a_back_view_shows_the_rucksack_and_a_front_view_only_its_straps(dressed):
    carrying = replace(dressed, bag=Bag("rucksack", (20, 90, 200), (20, 90, 200), 1))

    def changed(pose: Pose) -> int:
        with_bag, without = (np.asarray(draw_person(p, pose)) for p in (carrying, dressed))
        return int((with_bag != without).any(-1).sum())

    assert 0 < changed(FRONT) < 0.3 * changed(BACK)


def test_cameras_look_at_different_places_in_different_light():
    means = []
    for index in range(8):
        person = person_number(3)
        shots = [
            pixels(take_photo(person, make_camera(0, index), generator(k)).jpeg) for k in range(3)
        ]
        # The upper corners show the scene, not the person.
        means.append(np.mean([shot[:60, :24].mean((0, 1)) for shot in shots], axis=0))
    for first in range(8):
        for second in range(first):
            assert np.abs(means[first] - means[second]).max() > 8, (first, second)


@pytest.mark.parametrize("kind", KINDS)
def test_cutouts_are_tight_and_not_rectangular(kind):
    cutout = draw_occluder(kind, generator(2))
    alpha = np.asarray(cutout.getchannel("A"))
    assert cutout.mode == "RGBA" and max(cutout.size) == 256
    assert cutout.getchannel("A").getbbox() == (0, 0, *cutout.size)
    assert (alpha == 0).mean() > 0.02
    assert ((alpha > 16) & (alpha < 240)).mean() < 0.2
    assert cutout.tobytes() == draw_occluder(kind, generator(2)).tobytes()


def test_persons_share_garment_colours_but_are_not_equal():
    persons = [person_number(index) for index in range(60)]
    assert len(set(persons)) == 60
    assert 4 <= len({person.upper.colour for person in persons}) <= 15
    assert len({person.bag.kind for person in persons}) == 4


def test_contact_sheet_is_a_grid_of_photos():
    sheet = contact_sheet(0)
    assert sheet.mode == "RGB" and sheet.width > 128 * 8 and sheet.height > 256 * 5
