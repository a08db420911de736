"""Any picture comes out upright, in 8-bit RGB and in the size that is asked for."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dpeformer_jax.base.pictures import PictureError, decode, open_picture, size_of, to_rgb

SIZE = (32, 16)
OWN_SIZE = (24, 16)  # of `blocks`
JPEG = {"suffix": "JPEG", "quality": 100, "subsampling": 0}
# A square of 8 x 8 pixels each: a block of a JPEG has one colour, which its compression keeps.
COLOURS = np.array(
    [[(250, 20, 20), (20, 240, 20)], [(30, 30, 230), (240, 240, 30)], [(128, 128, 128), (9, 9, 9)]],
    np.uint8,
)
# What a camera stores where the upright picture is [H, W, 3], by EXIF orientation.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def blocks():
    return COLOURS.repeat(8, axis=0).repeat(8, axis=1)


def noise(height=50, width=30, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def saved(image, suffix="PNG", **options):
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return file.getvalue()


def oriented(orientation, suffix, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED.get(orientation, STORED[1])(blocks()))
    return saved(Image.fromarray(stored), suffix, exif=exif, **options)


def png_of_16_bits(pixels):
    """A PNG with 16 bits a channel, of uint16 [H, W, channels]; Pillow writes only grey ones."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    height, width, channels = pixels.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def noise_of_16_bits(channels):
    return np.random.default_rng(0).integers(0, 65536, (*SIZE, channels), np.uint16)


def test_a_picture_becomes_rgb_bytes_of_the_size():
    pixels = decode(saved(Image.fromarray(noise())), SIZE)
    assert pixels.shape == (*SIZE, 3) and pixels.dtype == np.uint8


@pytest.mark.parametrize("shape", [(100, 70), (9, 5), (32, 40)])
def test_it_is_resized_as_pillow_does_with_antialiased_bicubic(shape):
    image = Image.fromarray(noise(*shape))
    expected = image.resize(SIZE[::-1], Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(decode(saved(image), SIZE), np.asarray(expected))


def test_fine_stripes_become_grey_when_made_smaller():
    stripes = np.zeros((8 * SIZE[0], 8 * SIZE[1], 3), np.uint8)
    stripes[::2] = 255
    assert np.abs(decode(saved(Image.fromarray(stripes)), SIZE).astype(int) - 127).max() < 10


def test_a_picture_of_the_size_is_left_as_it_is():
    np.testing.assert_array_equal(decode(saved(Image.fromarray(noise(*SIZE))), SIZE), noise(*SIZE))


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("options", [{"suffix": "PNG"}, {"suffix": "TIFF"}, JPEG])
def test_a_picture_comes_out_upright(orientation, options):
    encoded = oriented(orientation, **options)
    tolerance = 3 if options == JPEG else 0
    np.testing.assert_allclose(decode(encoded, OWN_SIZE).astype(int), blocks(), atol=tolerance)
    assert size_of(encoded) == OWN_SIZE[::-1]
    assert open_picture(encoded).size == OWN_SIZE[::-1]


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation):
    encoded = oriented(orientation, "PNG")
    np.testing.assert_array_equal(decode(encoded, OWN_SIZE), blocks())
    assert size_of(encoded) == OWN_SIZE[::-1]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0not a TIFF header",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0",  # cut off
    ],
)
def test_a_damaged_exif_block_is_ignored(exif):
    encoded = saved(Image.fromarray(blocks()), **JPEG, exif=exif)
    np.testing.assert_allclose(decode(encoded, OWN_SIZE).astype(int), blocks(), atol=3)
    assert size_of(encoded) == OWN_SIZE[::-1]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_turned_picture_with_damaged_exif_behind_its_orientation_comes_out_upright():
    entry = b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    broken = b"\x9b\x9c\x02\0\xff\xff\xff\x7f\xff\xff\xff\x7f"  # lies beyond the block
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entry + broken + b"\0\0\0\0"
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](blocks())))
    encoded = saved(stored, **JPEG, exif=exif)
    np.testing.assert_allclose(decode(encoded, OWN_SIZE).astype(int), blocks(), atol=3)
    assert size_of(encoded) == OWN_SIZE[::-1]


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_a_grey_picture_has_three_equal_channels(mode):
    grey = Image.fromarray(noise(*SIZE)).convert(mode)
    expected = np.asarray(grey.convert("L"))
    np.testing.assert_array_equal(decode(saved(grey), SIZE), np.stack([expected] * 3, axis=-1))


def test_a_palette_picture_has_the_colours_of_its_palette():
    index = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 3
    image = Image.fromarray(index.astype(np.uint8), mode="P")
    palette = np.array([(250, 0, 10), (0, 90, 0), (7, 7, 200)], np.uint8)
    image.putpalette(palette.tobytes())
    np.testing.assert_array_equal(decode(saved(image), SIZE), palette[index])


def test_transparency_is_dropped():
    transparent = Image.fromarray(noise(*SIZE))
    transparent.putalpha(0)
    np.testing.assert_array_equal(decode(saved(transparent), SIZE), noise(*SIZE))


@pytest.mark.parametrize("suffix", ["JPEG", "TIFF"])
def test_cmyk_is_converted_as_by_pillow(suffix):
    image = Image.fromarray(noise(*SIZE)).convert("CMYK")
    encoded = saved(image, suffix)
    with Image.open(io.BytesIO(encoded)) as stored:
        assert stored.mode == "CMYK"
        expected = np.asarray(stored.convert("RGB"))
    np.testing.assert_array_equal(decode(encoded, SIZE), expected)
    if suffix == "TIFF":  # without loss
        np.testing.assert_array_equal(decode(encoded, SIZE), noise(*SIZE))


@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(suffix):
    grey = noise_of_16_bits(1)[..., 0]
    pixels = decode(saved(Image.fromarray(grey), suffix), SIZE)
    np.testing.assert_array_equal(pixels, np.stack([grey >> 8] * 3, axis=-1))


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grey_of_a_tiff_may_have_either_byte_order(order):
    grey = noise_of_16_bits(1)[..., 0]
    head = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}[order]
    entries = [
        *((256, SIZE[1]), (257, SIZE[0]), (258, 16), (259, 1), (262, 1)),
        *((273, 8 + 2 + 8 * 12 + 4), (277, 1), (279, grey.size * 2)),
    ]
    directory = struct.pack(order + "H", len(entries))
    for tag, value in entries:
        directory += struct.pack(order + "HHII", tag, 4, 1, value)
    encoded = head + directory + bytes(4) + grey.astype(order + "u2").tobytes()
    np.testing.assert_array_equal(decode(encoded, SIZE)[..., 1], grey >> 8)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bit_colours_keep_their_high_byte(channels):
    pixels = noise_of_16_bits(channels)
    expected = pixels[..., :3] if channels > 2 else pixels[..., [0, 0, 0]]
    np.testing.assert_array_equal(decode(png_of_16_bits(pixels), SIZE), expected >> 8)


@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_an_array_is_a_picture(channels):
    pixels = noise(*SIZE, channels or 1)
    expected = np.broadcast_to(pixels[..., :3], (*SIZE, 3))
    np.testing.assert_array_equal(
        decode(pixels[..., 0] if channels is None else pixels, SIZE), expected
    )


def test_an_array_need_not_be_contiguous():
    pixels = noise(*SIZE)
    np.testing.assert_array_equal(decode(pixels[::-1, :, ::-1], SIZE), pixels[::-1, :, ::-1])


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_an_array_of_another_kind_is_refused(pixels):
    with pytest.raises(PictureError, match=r"no picture; expected uint8 \[h, w\]"):
        decode(pixels, SIZE)


def test_a_path_and_a_pil_image_are_pictures(tmp_path):
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(noise(*SIZE))))
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(noise(*SIZE))):
        np.testing.assert_array_equal(decode(source, SIZE), noise(*SIZE))


def test_a_pil_image_that_was_opened_is_turned_and_left_as_it_is():
    with Image.open(io.BytesIO(oriented(6, "PNG"))) as image:
        np.testing.assert_array_equal(decode(image, OWN_SIZE), blocks())
        assert image.size == OWN_SIZE and image.getexif()[0x0112] == 6


def test_a_pil_image_of_another_mode_is_converted():
    ramp = np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(SIZE) * 100
    np.testing.assert_array_equal(decode(Image.fromarray(ramp), SIZE)[..., 2], ramp >> 8)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bits_a_channel_are_refused(mode):
    with pytest.raises(PictureError, match=f"Pillow mode {mode}; convert it to 8-bit RGB"):
        decode(saved(Image.new(mode, (4, 8)), "TIFF"), SIZE)


@pytest.mark.parametrize("mode", ["LAB", "HSV"])
def test_colours_without_a_fixed_meaning_are_refused(mode):
    with pytest.raises(PictureError, match=f"Pillow mode {mode}"):
        to_rgb(Image.new(mode, (4, 8)))


@pytest.mark.parametrize("suffix", ["JPEG", "PNG"])
def test_a_picture_that_breaks_off_is_refused(suffix):
    encoded = saved(Image.fromarray(noise()), suffix)
    for end in range(1, len(encoded) - 20, 97):
        with pytest.raises(PictureError, match="^does not decode: "):
            decode(encoded[:end], SIZE)


@pytest.mark.parametrize(
    ("source", "told"), [(b"", "^zero bytes$"), (b"no picture", "^does not decode: no image$")]
)
def test_bytes_that_are_no_picture_are_refused(source, told):
    with pytest.raises(PictureError, match=told):
        decode(source, SIZE)


def test_a_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(PictureError, match="^no such file or directory$"):
        decode(tmp_path / "gone.jpg", SIZE)


def test_a_picture_of_absurd_size_is_refused():
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    encoded = b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + chunk + struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(PictureError, match="^does not decode: .*decompression bomb"):
        decode(encoded + saved(Image.new("RGB", (1, 1)))[33:], SIZE)
