"""A checkpoint as a function from pictures to features."""

import io
import itertools
import pickle
import pty
import threading

import numpy as np
import pytest
from PIL import Image
from terminals import set_size, shown_on
from toy import SIZE, toy_spec, toy_weights

from dpeformer_jax import Extractor
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import decode
from dpeformer_jax.checkpoint.weights import Weights, save_weights
from dpeformer_jax.features import at_unit_length

RELEASED = {"global_token": "first_patch", "pooling": "batch", "head_merge": "batch"}


def random_images(count, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *SIZE, 3)).astype(np.float32)


def extractor_of(weights, batch_size=4):
    return Extractor(weights.variables, weights.spec, batch_size)


@pytest.fixture(scope="module")
def extractor():
    return extractor_of(toy_weights())


@pytest.fixture(scope="module")
def with_cameras():
    return extractor_of(toy_weights(sie_rows=2))


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


def test_a_camera_is_needed_where_it_is_embedded(with_cameras):
    extractor, images = with_cameras, random_images(2)
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
    for one in ("one.jpg", b"content", Image.new("L", (8, 8)), np.zeros((8, 8), np.uint8), None):
        with pytest.raises(ValueError, match="pictures is a .*; expected a list"):
            extractor(one)
    with pytest.raises(ValueError, match="lie in -1..1"):
        extractor.features(np.full((1, *SIZE, 3), 255.0, np.float32))
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[:900])
    with pytest.raises(ValueError, match="cut.jpg cannot be read"):
        extractor([tmp_path / "cut.jpg"])


def test_a_broken_picture_costs_only_itself_where_it_is_skipped(extractor, tmp_path, write_image):
    paths = [write_image(tmp_path / f"{i}.png") for i in range(9)]
    whole = extractor(paths)
    paths[1].write_bytes(paths[1].read_bytes()[:300])
    paths[4].write_text("no picture")
    paths[8] = tmp_path / "gone.png"
    found = extractor(paths, on_error="skip")
    good = [0, 2, 3, 5, 6, 7]
    assert np.flatnonzero(found.read).tolist() == good and sorted(found.errors) == [1, 4, 8]
    for row, told in found.errors.items():
        assert told.startswith(f"{paths[row]} cannot be read as a picture: ")
    for name in ("holistic", "parts", "concat"):
        np.testing.assert_array_equal(found[name][good], whole[name][good])
        assert np.isnan(found[name][[1, 4, 8]]).all()
    np.testing.assert_array_equal(found["selected"][good], whole["selected"][good])
    assert not found["selected"][[1, 4, 8]].any()
    with pytest.raises(UserError, match="1.png cannot be read as a picture: does not decode"):
        extractor(paths)
    none = extractor([None, b"", np.zeros(3)], on_error="skip")
    assert not none.read.any() and none["concat"].shape == (3, 2 * 4 * 32)
    assert "picture 0 cannot be read as a picture: a NoneType is no picture" in none.errors[0]


def test_any_picture_of_a_list_is_read_as_its_file(extractor, shared_data):
    paths = sorted((shared_data / "pku_reid/query").glob("*.jpg"))[:4]
    with Image.open(paths[2]) as image:
        grey, see_through = image.convert("L"), image.convert("RGBA")
    pil = Image.open(paths[1])
    mixed = [paths[0], pil, np.asarray(grey), np.asarray(see_through), paths[3].read_bytes(), pil]
    found, expected = extractor(mixed), extractor([str(path) for path in paths])
    three = extractor([np.stack([np.asarray(grey)] * 3, axis=-1)])
    for name, values in found.items():
        np.testing.assert_array_equal(values[[0, 1, 3, 4, 5]], expected[name][[0, 1, 2, 3, 1]])
        np.testing.assert_array_equal(values[2], three[name][0])


def test_concat_and_features_at_length_1_come_by_name(extractor):
    images = random_images(5)
    raw = extractor.features(images, names=["holistic", "parts"])
    scaled = at_unit_length(raw)
    assert list(raw) == ["holistic", "parts"]
    np.testing.assert_allclose(
        extractor.features(images, names=("concat",))["concat"], scaled["concat"], atol=1e-6
    )
    found = extractor.features(images, unit_length=True)
    assert found.keys() == {"holistic", "parts", "concat", "selected"}
    for name, values in scaled.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)
    assert found["selected"].dtype == bool
    empty = extractor([], names=["concat"])
    assert empty["concat"].shape == (0, 2 * 4 * 32) and empty.read.shape == (0,)


def test_a_stream_is_endless_lazy_and_in_order(extractor):
    taken = []

    def pictures():
        for number in itertools.count():
            taken.append(number)
            yield np.full((8, 8), number % 256, np.uint8)

    expected = extractor(list(itertools.islice(pictures(), 20)))
    taken.clear()
    stream = extractor.stream(pictures())
    assert not taken
    for start, chunk in zip(range(0, 20, 4), stream, strict=False):
        assert len(taken) <= start + 32 and chunk.read.all()
        for name, values in chunk.items():
            np.testing.assert_array_equal(values, expected[name][start : start + 4])
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_the_last_chunk_of_a_stream_is_short_and_compiles_nothing(extractor):
    pixels = np.random.default_rng(0).integers(0, 256, (11, 40, 20, 3), np.uint8)
    whole = extractor(pixels)
    compiled = extractor._pass._forward._cache_size()
    chunks = list(extractor.stream([*pixels[:9], b"broken", pixels[10]], on_error="skip"))
    assert [len(chunk["parts"]) for chunk in chunks] == [4, 4, 3]
    assert [list(chunk.errors) for chunk in chunks] == [[], [], [1]]
    assert chunks[2].errors[1].startswith("picture 9 cannot")
    np.testing.assert_array_equal(chunks[2]["parts"][[0, 2]], whole["parts"][[8, 10]])
    assert extractor._pass._forward._cache_size() == compiled


def test_a_stream_takes_camera_rows_as_it_goes(with_cameras):
    extractor, pixels = with_cameras, [np.zeros((8, 8), np.uint8)] * 6
    rows = [0, 1, 0, 0, 1, 1]
    expected = extractor(pixels, rows)["parts"]
    chunks = extractor.stream(iter(pixels), iter(rows))
    np.testing.assert_array_equal(np.concatenate([c["parts"] for c in chunks]), expected)
    for few, words in ((rows[:5], "= 1 must be 2 whole"), (None, "embeds the camera")):
        with pytest.raises(UserError, match=words):
            list(extractor.stream(pixels, few))


def test_a_pickled_extractor_gives_equal_features(extractor):
    images = random_images(3)
    again = pickle.loads(pickle.dumps(extractor))
    found = again.features(images)
    for name, values in extractor.features(images).items():
        np.testing.assert_array_equal(found[name], values)
    copied = pickle.loads(pickle.dumps(extractor([b""], on_error="skip")))
    assert copied.errors.keys() == {0} and not copied.read.any() and "parts" in copied


def test_a_terminal_shows_progress_where_it_is_asked_for(extractor, monkeypatch):
    def shown_by(use):
        terminal, other_end = pty.openpty()
        set_size(other_end, rows=24, columns=90)
        with open(other_end, "w") as stderr, monkeypatch.context() as context:
            context.setattr("sys.stderr", stderr)
            use()
        return shown_on(terminal)

    pixels = [np.zeros((8, 8), np.uint8)] * 9
    shown = shown_by(lambda: extractor(pixels, progress=True))
    assert "extracting: " in shown and "3/3" in shown
    assert shown_by(lambda: extractor(pixels)) == ""
    assert shown_by(lambda: list(extractor.stream(pixels))) == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"on_error": "ignore"}, "on_error = 'ignore' must be 'raise' or 'skip'"),
        ({"names": "concat"}, "names = 'concat' must be a list of some of 'holistic', 'parts'"),
        ({"names": ["conact"]}, r"names = \['conact'\] must be a list of some of .*'concat'"),
        ({"names": []}, r"names = \[\] must be a list"),
    ],
)
def test_a_wrong_choice_is_named_before_anything_is_computed(extractor, options, told):
    for use in (extractor, extractor.stream):
        with pytest.raises(UserError, match=told):
            use([b"never read"], **options)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": 8.0}, {"threads": 0}])
def test_a_wrong_number_is_named(options):
    ((name, value),) = options.items()
    with pytest.raises(UserError, match=f"{name} = {value} must be a whole number of at least 1"):
        Extractor({}, toy_spec(), **options)


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
