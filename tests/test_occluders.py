"""Cut-outs are read from a folder in SA-1B-crop layout or drawn, tight and transparent around."""

import numpy as np
import pytest
from PIL import Image

from data.occluders import DRAWN, load_cutouts
from dpeformer_jax.base.errors import UserError

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def canvas(colour, height=32, width=32):
    return np.full((height, width, len(colour)), colour, np.uint8)


def save(root, pixels, name="sa_1/0.png", **options):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **options)
    return file


def only_cutout(root, size):
    """The one cut-out of a folder; at its own size nothing is interpolated."""
    (images, tall), _ = load_cutouts(str(root), size)
    assert len(images) == len(tall) == 1
    return images[0], bool(tall[0])


def test_the_bank_holds_every_object_of_every_image(tmp_path):
    for name in ("sa_1/0.png", "sa_1/1.jpg", "sa_2/0.PNG", "sa_3/7.jpeg"):
        save(tmp_path, canvas(WHITE), name)
    (tmp_path / "sa_1" / "0.json").touch()
    save(tmp_path, canvas(WHITE), "not_in_a_folder.png")
    bank, _ = load_cutouts(str(tmp_path), (16, 8))
    assert bank.images.shape == (4, 16, 8, 4) and bank.images.dtype == np.uint8
    assert bank.tall.tolist() == [False] * 4


def test_cutouts_come_in_the_order_of_their_names(tmp_path):
    for grey in (60, 20, 40):
        save(tmp_path, canvas((grey,) * 3), f"sa_{grey}/0.png")
    bank, _ = load_cutouts(str(tmp_path), (4, 4))
    assert bank.images[:, 0, 0, 0].tolist() == [20, 40, 60]


def test_black_is_transparent_and_cut_off_around(tmp_path):
    pixels = canvas(BLACK)
    pixels[4:20, 6:16] = (200, 0, 0)
    pixels[8, 10] = BLACK
    save(tmp_path, pixels)
    cutout, _ = only_cutout(tmp_path, (16, 10))
    hole = np.zeros((16, 10), bool)
    hole[4, 4] = True
    np.testing.assert_array_equal(cutout[..., 3], np.where(hole, 0, 255))
    assert (cutout[~hole][:, :3] == (200, 0, 0)).all()


def test_alpha_is_kept(tmp_path):
    pixels = canvas((*WHITE, 0))
    pixels[4:20, 6:16, 3] = 255
    pixels[4:20, 6:11, 3] = 90
    save(tmp_path, pixels)
    cutout, _ = only_cutout(tmp_path, (16, 10))
    assert (cutout[:, :5, 3] == 90).all() and (cutout[:, 5:, 3] == 255).all()


@pytest.mark.parametrize(("suffix", "greys"), [("png", {9, 255}), ("jpg", {255})])
def test_near_black_is_transparent_only_in_a_jpeg(tmp_path, suffix, greys):
    pixels = canvas(WHITE)
    pixels[:, :16] = 9  # 8 x 8 blocks of one colour survive compression
    save(tmp_path, pixels, f"sa_1/0.{suffix}")
    cutout, _ = only_cutout(tmp_path, (32, 32))
    assert (cutout[..., 3] == 255).all()
    assert set(cutout[..., :3].ravel()) == greys


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_other_kinds_of_png_are_read(tmp_path, mode):
    file = save(tmp_path, canvas(WHITE))
    Image.open(file).convert(mode).save(file)
    assert (only_cutout(tmp_path, (32, 32))[0] == 255).all()


def test_a_crop_of_16_bit_grey_keeps_its_shades(tmp_path):
    ramp = np.full((32, 32), 200 << 8, np.uint16)
    ramp[:, :16] = 90 << 8
    save(tmp_path, ramp)
    cutout, _ = only_cutout(tmp_path, (32, 32))
    assert (cutout[..., 3] == 255).all()
    assert (cutout[:, :16, :3] == 90).all() and (cutout[:, 16:, :3] == 200).all()


@pytest.mark.parametrize(
    ("height", "width", "tall"), [(24, 8, True), (8, 24, False), (16, 16, False), (15, 8, False)]
)
def test_tall_is_the_shape_of_the_object_and_not_of_its_image(tmp_path, height, width, tall):
    pixels = canvas(BLACK, 30, 60)
    pixels[2 : 2 + height, 3 : 3 + width] = WHITE
    save(tmp_path, pixels)
    assert only_cutout(tmp_path, (8, 8))[1] is tall


@pytest.mark.parametrize("folder", ["empty", "flat", "missing"])
def test_a_folder_without_cutouts_is_an_error(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    save(tmp_path, canvas(WHITE), "flat/0.png")  # not in the folder of an image
    root = str(tmp_path / folder)
    with pytest.raises(UserError) as error:
        load_cutouts(root, (8, 8))
    assert f"config.views.occluders = {root!r}" in str(error.value)


def truncate(file):
    file.write_bytes(file.read_bytes()[:-60])


def empty(file):
    file.write_bytes(b"")


def write_text(file):
    file.write_text("not a picture")


def spoil_a_chunk(file):
    file.write_bytes(b"\0\0\0\0".join(file.read_bytes().rsplit(b"IDAT", 1)))


@pytest.mark.parametrize("damage", [truncate, empty, write_text, spoil_a_chunk])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, damage):
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    file = save(tmp_path, noise)
    damage(file)
    with pytest.raises(UserError, match="does not decode") as error:
        load_cutouts(str(tmp_path), (8, 8))
    assert str(file) in str(error.value)


@pytest.mark.parametrize("colour", [BLACK, (*WHITE, 0)])
def test_a_file_without_a_visible_pixel_is_an_error_that_names_it(tmp_path, colour):
    file = save(tmp_path, canvas(colour))
    with pytest.raises(UserError, match="transparent everywhere") as error:
        load_cutouts(str(tmp_path), (8, 8))
    assert str(file) in str(error.value)


def test_the_drawn_bank_is_the_same_every_time():
    (bank, origin), (again, other) = (load_cutouts("", (32, 16)) for _ in range(2))
    assert origin == other and origin.startswith("drawn, fingerprint ")
    assert bank.images.shape == (DRAWN, 32, 16, 4) and bank.images.dtype == np.uint8
    np.testing.assert_array_equal(bank.images, again.images)
    np.testing.assert_array_equal(bank.tall, again.tall)


def test_the_drawn_bank_has_different_cutouts_tall_ones_and_others():
    bank, _ = load_cutouts("", (32, 16))
    assert len(np.unique(bank.images, axis=0)) > 0.9 * DRAWN  # poles may look alike
    assert 0.1 < bank.tall.mean() < 0.9
    assert bank.images[..., 3].max(axis=(1, 2)).min() > 200


def test_real_cutouts_are_read(shared_data):
    root = shared_data / "occluders" / "SA-1B-crop"
    if not root.is_dir():
        pytest.skip(f"{root} is not a folder")
    bank, _ = load_cutouts(str(root), (64, 32))
    assert len(bank.images) == len(list(root.glob("*/*.png")))
    assert (bank.images[..., 3] == 0).any() and (bank.images[..., 3] == 255).any()
