"""A file is read as it is, or one phrase says why it cannot be used."""

import io
import itertools

import numpy as np
import pytest
from layouts import write_picture
from PIL import Image
from test_pictures import png_of_16_bits

from data.reading import Damage, problem_of, read_all

SUFFIXES = ("jpg", "png", "tif", "bmp")


def saved(image, suffix, **options):
    file = io.BytesIO()
    image.save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix), **options)
    return file.getvalue()


def noise(width=20, height=40, mode="RGB"):
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).convert(mode)


EIGHT_BITS = set(itertools.product(SUFFIXES, ("RGB", "L", "1", "P"))) - {("jpg", "P")}


@pytest.mark.parametrize(("suffix", "mode"), sorted(EIGHT_BITS))
def test_a_picture_of_eight_bits_is_good(suffix, mode):
    assert problem_of(saved(noise(mode=mode), suffix)) == ""


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_good(mode):
    assert problem_of(saved(noise(mode=mode), "png")) == ""


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_tiff_file_of_any_size_and_compression_is_good(compression):
    files = [saved(noise(width), "tif", compression=compression) for width in range(40, 80)]
    assert not any(map(problem_of, files))


def test_a_bmp_file_of_any_size_is_good():
    assert not any(problem_of(saved(noise(width), "bmp")) for width in range(40, 80))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_is_good(suffix):
    ramp = Image.fromarray(np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8))
    assert problem_of(saved(ramp, suffix)) == ""


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits_are_good(channels):
    assert problem_of(png_of_16_bits(np.full((8, 4, channels), 0x1234, np.uint16))) == ""


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_colours_of_a_printer_are_good(suffix):
    assert problem_of(saved(noise(mode="CMYK"), suffix)) == ""


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bits_a_channel_are_refused(mode):
    encoded = saved(Image.new(mode, (4, 8)), "tif")
    assert problem_of(encoded) == f"Pillow mode {mode}; convert it to 8-bit RGB"


def test_an_empty_file_has_zero_bytes():
    assert problem_of(b"") == "zero bytes"


@pytest.mark.parametrize("encoded", [b"not a picture", b"\x89PNG\r\n\x1a\n", b"II*\0", b"BM" * 30])
def test_a_file_that_is_no_picture_is_refused(encoded):
    assert problem_of(encoded).startswith("does not decode: ")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_that_breaks_off_is_refused_wherever_it_does(suffix):
    encoded = saved(noise(), suffix)
    # All that a PNG's last 20 bytes say is that it ends.
    for end in range(1, len(encoded) - 20, 7):
        assert problem_of(encoded[:end]).startswith("does not decode: "), end


def test_files_come_in_order_with_the_bytes_they_have(tmp_path, monkeypatch):
    monkeypatch.setattr("data.reading.READ_AT_ONCE", 3)
    paths = [tmp_path / f"{number}.{SUFFIXES[number % 4]}" for number in range(8)]
    for path in paths:
        write_picture(path, path.name)
    assert list(read_all(paths)) == [path.read_bytes() for path in paths]


def test_a_file_that_cannot_be_used_does_not_stop_the_others(tmp_path):
    write_picture(tmp_path / "good.jpg", "good")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    names = "empty.jpg", "folder.jpg", "gone.jpg", "good.jpg"
    *bad, good = read_all([tmp_path / name for name in names])
    assert good == (tmp_path / "good.jpg").read_bytes()
    assert bad == [
        Damage("zero bytes"),
        Damage("cannot be read: Is a directory"),
        Damage("cannot be read: No such file or directory"),
    ]
