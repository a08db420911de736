"""A checkpoint as a function from pictures to features."""

import io

import numpy as np
import pytest
from PIL import Image
from toy import SIZE, toy_weights

from dpeformer_jax import Extractor
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import decode
from dpeformer_jax.checkpoint.weights import Weights, save_weights

RELEASED = {"global_token": "first_patch", "pooling": "batch", "head_merge": "batch"}


def random_images(count, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *SIZE, 3)).astype(np.float32)


def extractor_of(weights, batch_size=4):
    return Extractor(weights.variables, weights.spec, batch_size)


@pytest.fixture(scope="module")
def extractor():
    return extractor_of(toy_weights())


def test_any_number_of_images_in_one_compilation(extractor):
    images = random_images(9)
    whole = extractor.features(images)
    assert whole["holistic"].shape == whole["parts"].shape == (9, 4 * 32)
    assert whole["selected"].shape == (9, 8) and whole["selected"].dtype == bool
    assert (whole["selected"].sum(axis=1) >= 4).all()
    for count in (0, 1, 4, 5):
        for name, value in extractor.features(images[:count]).items():
            np.testing.assert_array_equal(value, whole[name][:count])
    assert extractor._pass._forward._cache_size() == 1


def test_an_image_stays_alone_under_the_released_preset_too(extractor):
    images = random_images(5)
    released = extractor_of(toy_weights(**RELEASED))
    together = released.features(images)["parts"]
    one_by_one = [released.features(images[i : i + 1])["parts"] for i in range(5)]
    np.testing.assert_allclose(together, np.concatenate(one_by_one), atol=1e-6)
    assert np.abs(together - extractor.features(images)["parts"]).max() > 1e-3


def test_files_and_arrays_give_the_same_features(extractor, tmp_path, write_image):
    paths = [write_image(tmp_path / f"{i}.png") for i in range(3)]
    arrays = [np.asarray(Image.open(path)) for path in paths]
    from_files, from_arrays = extractor(paths), extractor(arrays)
    for name in from_files:
        np.testing.assert_array_equal(from_files[name], from_arrays[name])


def test_pixels_go_to_the_device_as_bytes_and_give_the_features_of_floats():
    extractor = extractor_of(toy_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (5, *SIZE, 3), np.uint8)
    from_floats = extractor.features(((pixels / 255 - 0.5) / 0.5).astype(np.float32))
    for name, found in extractor(list(pixels)).items():
        np.testing.assert_allclose(found, from_floats[name], atol=1e-5)
    assert extractor._pass._forward._cache_size() == 2  # one for each type, whatever the count


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK"])
def test_pictures_are_read_as_the_training_reads_them(extractor, tmp_path, mode):
    noise = np.random.default_rng(0).integers(0, 256, (50, 30, 3), np.uint8)
    path = tmp_path / "picture.tif"
    Image.fromarray(noise).convert(mode).save(path)
    decoded = decode(path.read_bytes(), SIZE)
    for name, found in extractor([path, Image.open(path)]).items():
        np.testing.assert_array_equal(found, np.repeat(extractor([decoded])[name], 2, axis=0))


def test_grey_arrays_and_arrays_with_alpha_are_pictures(extractor):
    grey = np.random.default_rng(0).integers(0, 256, (50, 30), np.uint8)
    rgb = np.stack([grey] * 3, axis=-1)
    alpha = np.concatenate([rgb, grey[..., None]], axis=-1)
    found = extractor([rgb, grey, grey[..., None], alpha])["holistic"]
    np.testing.assert_array_equal(found, np.repeat(found[:1], 4, axis=0))


def test_a_camera_is_needed_where_it_is_embedded():
    extractor, images = extractor_of(toy_weights(sie_rows=2)), random_images(2)
    first = extractor.features(images, [0, 0])["holistic"]
    second = extractor.features(images, [0, 1])["holistic"]
    np.testing.assert_array_equal(first[0], second[0])
    assert np.abs(first[1] - second[1]).max() > 1e-3
    for rows, words in ((None, "embeds the camera"), ([0], "2 whole numbers"), ([0, 2], "0..1")):
        with pytest.raises(ValueError, match=words):
            extractor.features(images, rows)


def test_mistakes_are_named(extractor, tmp_path):
    with pytest.raises(ValueError, match=r"\(2, 32, 64, 3\).*\(64, 32, 3\)"):
        extractor.features(np.zeros((2, 32, 64, 3), np.float32))
    with pytest.raises(ValueError, match="uint8; features"):
        extractor.features(np.zeros((2, *SIZE, 3), np.uint8))
    with pytest.raises(ValueError, match="float32 .* is no picture"):
        extractor([np.zeros((8, 8, 3), np.float32)])
    with pytest.raises(ValueError, match="none.jpg cannot be read"):
        extractor([tmp_path / "none.jpg"])
    with pytest.raises(ValueError, match="expected a list"):
        extractor("one.jpg")
    with pytest.raises(ValueError, match="lie in -1..1"):
        extractor.features(np.full((1, *SIZE, 3), 255.0, np.float32))
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[:900])
    with pytest.raises(ValueError, match="cut.jpg cannot be read"):
        extractor([tmp_path / "cut.jpg"])


def test_a_checkpoint_is_loaded_with_its_own_network_or_a_preset(tmp_path, extractor):
    weights = toy_weights(**RELEASED)
    save_weights(tmp_path, weights)
    assert Extractor.load(tmp_path).spec == weights.spec
    paper = Extractor.load(str(tmp_path), preset="paper", batch_size=4)
    images = random_images(3)
    expected = extractor.features(images)["parts"]
    np.testing.assert_array_equal(paper.features(images)["parts"], expected)
    with pytest.raises(UserError, match="'paper', 'released'"):
        Extractor.load(tmp_path, preset="papr")


def test_a_backbone_alone_is_refused(tmp_path):
    weights = toy_weights()
    alone = {"params": {"backbone": weights.variables["params"]["backbone"]}}
    save_weights(tmp_path, Weights(tmp_path, weights.spec, alone, None))
    with pytest.raises(UserError, match="config.init.checkpoint"):
        Extractor.load(tmp_path)
