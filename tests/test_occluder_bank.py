"""Banks: which candidates stay, and the file that holds them."""

import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from data.occluders import bank, load_cutouts
from data.occluders.build import GREYS, Built, build, contact_sheet
from data.occluders.sources import Unusable
from dpeformer_jax.base.errors import UserError

SIZE = (16, 8)


def grey(value, height=30, width=30):
    return Image.new("RGBA", (width, height), (value, value, value, 255))


def candidates(count, cut=grey, seen=None):
    """Opaque squares, each of its own grey; `seen` collects which are decoded."""
    for i in range(count):

        def decode(i=i):
            if seen is not None:
                seen.append(i)
            return cut(i)

        yield decode


def greys(built):
    return built.images[:, 0, 0, 0].tolist()


def test_all_stay_in_their_order_when_there_are_few():
    built = build(candidates(200), SIZE, min_side=24, most=200, seed=0)
    assert built.images.shape == (200, *SIZE, 4) and built.images.dtype == np.uint8
    assert greys(built) == list(range(200)) and not built.dropped
    assert built.summary() == "kept 200 of 200 cut-outs; dropped: none"


def test_every_candidate_has_the_same_chance_to_stay():
    counts = Counter()
    for seed in range(400):
        built = build(candidates(20), (1, 1), min_side=1, most=5, seed=seed)
        assert len(set(greys(built))) == 5 and built.dropped == {"over the count": 15}
        counts.update(greys(built))
    assert all(60 < counts[i] < 140 for i in range(20))  # 100 each, 8.7 standard deviation


def test_the_choice_follows_from_the_seed():
    once, again, other = (build(candidates(50), SIZE, 1, 10, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(once.images, again.images)
    assert set(greys(once)) != set(greys(other))


def test_few_are_decoded_of_many():
    """The i-th is wanted with chance 10 / i: 10 (1 + ln(20,000 / 10)) = 86 of them."""
    seen = []
    built = build(candidates(20_000, lambda i: grey(i % 256), seen), (1, 1), 1, 10, seed=0)
    assert len(built.images) == 10 and 50 < len(seen) < 130


def test_what_is_too_small_or_unusable_is_counted_and_the_choice_is_among_the_rest():
    def cut(i):
        if i % 4 == 0:
            raise Unusable(f"file {i // 8}", "damaged", "it does not decode")
        return grey(i, width=23 if i % 4 == 1 else 24)

    built = build(candidates(60, cut), SIZE, min_side=24, most=20, seed=0)
    assert {value % 4 for value in greys(built)} == {2, 3} and len(built.images) == 20
    assert built.dropped.total() == 40
    everything = build(candidates(60, cut), SIZE, min_side=24, most=60, seed=0)
    assert everything.dropped == {"damaged": 15, "too small": 15}
    named = "file 0, file 1, file 2, file 3, file 4, file 5, file 6, file 7"
    assert everything.summary() == (
        f"kept 30 of 60 cut-outs; dropped: 15 damaged, 15 too small\ndamaged: {named}"
    )


def test_only_the_first_damaged_files_are_named():
    built = Built(np.empty((0, *SIZE, 4)), np.empty(0), Counter(damaged=12), list("abcdefghijkl"))
    assert built.summary().endswith("\ndamaged: a, b, c, d, e, f, g, h, i, j and 2 more")


def test_nothing_left_is_an_error_that_says_why():
    with pytest.raises(UserError, match="no cut-out is left: kept 0 of 7 .* 7 too small"):
        build(candidates(7), SIZE, min_side=31, most=5, seed=0)


def test_cells_are_the_cutouts_stretched_and_tall_is_their_own_shape():
    shapes = [(30, 60), (60, 30), (61, 30)]
    built = build(candidates(3, lambda i: grey(9, *shapes[i])), SIZE, 1, 9, seed=0)
    assert built.tall.tolist() == [False, False, True]
    assert (built.images == (9, 9, 9, 255)).all()


def some_bank(path):
    images = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 4), np.uint8)
    tall = np.array([True, False, False, True, False])
    return images, tall, bank.write_bank(path, images, tall)


def test_a_bank_file_gives_back_what_was_written(tmp_path):
    images, tall, fingerprint = some_bank(tmp_path / "bank.npz")
    cutouts, origin = load_cutouts(str(tmp_path / "bank.npz"), SIZE)
    np.testing.assert_array_equal(cutouts.images, images)
    np.testing.assert_array_equal(cutouts.tall, tall)
    assert origin == f"from {tmp_path / 'bank.npz'}, fingerprint {fingerprint}"
    assert os.listdir(tmp_path) == ["bank.npz"]


def test_cells_of_another_size_are_resized(tmp_path):
    images, tall, fingerprint = some_bank(tmp_path / "bank.npz")
    cutouts, origin = load_cutouts(str(tmp_path / "bank.npz"), (32, 12))
    assert cutouts.images.shape == (5, 32, 12, 4) and fingerprint in origin
    np.testing.assert_array_equal(cutouts.tall, tall)
    opaque = np.full((2, *SIZE, 4), (7, 80, 200, 255), np.uint8)
    bank.write_bank(tmp_path / "flat.npz", opaque, tall[:2])
    resized, _ = load_cutouts(str(tmp_path / "flat.npz"), (5, 9))
    assert (resized.images == (7, 80, 200, 255)).all()


def test_the_fingerprint_is_of_sizes_pixels_and_kinds():
    images, tall = np.zeros((2, 4, 6, 4), np.uint8), np.zeros(2, bool)
    lighter = images.copy()
    lighter[1, 3, 5, 3] = 1
    variants = [
        (images, tall),
        (lighter, tall),
        (images.reshape(2, 6, 4, 4), tall),
        (images, ~tall),
    ]
    assert len({bank.fingerprint_of(*variant) for variant in variants}) == 4
    assert bank.fingerprint_of(images.copy(), tall.copy()) == bank.fingerprint_of(images, tall)


def test_a_process_that_is_stopped_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "bank.npz"
    some_bank(path)
    before = path.read_bytes()

    def stop(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(bank.np, "savez", stop)
    with pytest.raises(KeyboardInterrupt):
        some_bank(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["bank.npz"]


def change_a_pixel(path):
    images, tall, fingerprint = bank.read_bank(path)
    images[3, 2, 1, 0] ^= 1
    np.savez(path, images=images, tall=tall, fingerprint=fingerprint)


def leave_out_tall(path):
    images, _, fingerprint = bank.read_bank(path)
    np.savez(path, images=images, fingerprint=fingerprint)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-300])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def encrypt(path):
    """Sets the bit that says so, in the entry of the first array."""
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def write_objects(path):
    np.savez(path, images=np.array([{}]), tall=np.array([{}]), fingerprint=np.array(""))


def write_text(path):
    path.write_text("not a bank")


@pytest.mark.parametrize(
    "damage",
    [change_a_pixel, leave_out_tall, truncate, flip_a_bit, encrypt, write_objects, write_text],
)
def test_a_damaged_bank_is_named(tmp_path, damage):
    path = tmp_path / "bank.npz"
    some_bank(path)
    damage(path)
    with pytest.raises(UserError, match="bank.npz is"):
        load_cutouts(str(path), SIZE)


def test_a_folder_of_too_many_is_to_be_made_a_bank(tmp_path, monkeypatch):
    monkeypatch.setattr(bank, "MOST_FILES", 3)
    for i in range(4):
        (tmp_path / str(i)).mkdir()
        grey(90).save(tmp_path / str(i) / "0.png")
    (tmp_path / "3").rename(tmp_path.with_name("aside"))
    assert len(load_cutouts(str(tmp_path), SIZE)[0].images) == 3
    tmp_path.with_name("aside").rename(tmp_path / "3")
    with pytest.raises(UserError, match="more than 3 cut-outs.*data.occluders build --crops"):
        load_cutouts(str(tmp_path), SIZE)


def test_the_sheet_shows_at_most_200_spread_evenly_on_a_checkerboard():
    images = np.full((1000, 16, 8, 4), 255, np.uint8)
    images[..., :3] = (np.arange(1000) // 4)[:, None, None, None]
    images[:, :8, :, 3] = 0  # see-through above
    sheet = np.asarray(contact_sheet(images))
    assert sheet.shape == (1280, 1280, 3)
    assert set(np.unique(sheet[:32])) == set(GREYS)
    shown = sheet[100::128, 32::64, 0].ravel().astype(int)
    assert shown[0] == 0 and shown[-1] == 249 and set(np.diff(shown)) <= {1, 2}


def test_a_sheet_of_a_few_has_one_row():
    assert contact_sheet(np.zeros((3, 256, 128, 4), np.uint8)).size == (1280, 128)
