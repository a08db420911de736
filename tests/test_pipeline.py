"""Pictures become uint8 batches that agree with the plan, however they are loaded."""

import io
from collections import Counter

import numpy as np
import pytest
from absl import flags
from PIL import Image

from data.builder import Records, prepare
from data.builders.reid_folder import ReidFolder
from data.pipeline import Loading, Sampling, Split, TrainingSplit, decode, fits_in_memory
from data.sampling import sampling_plan
from data.source import Source

SIZE = (32, 16)
SAMPLING = Sampling(identities_per_batch=2, images_per_identity=2, seed=3)
PLAN = np.array([[3, 0, 8, 8], [1, 2, 7, 4], [5, 6, 0, 3]])
SIDES = {
    "train": np.array([0, 0, 1, 0, 0, 1, 1, 0, 1], np.int32),
    "gallery": np.array([0, -1, 1, 0, -1], np.int32),
}


class Counted(Records):
    """Records that count how often each image is read."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.reads = Counter()

    def encoded(self, index):
        self.reads[int(index)] += 1
        return super().encoded(index)


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def noise(height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def loading(cache="none", folder=None, threads=2, processes=0):
    return Loading(SIZE, cache, folder, threads, processes)


def assert_equal(batches, others):
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        for key, values in batch.items():
            np.testing.assert_array_equal(values, other[key])


@pytest.fixture
def builder(fields):
    source = Source("reid_folder", root=fields.root, pattern=fields.pattern)
    return prepare(ReidFolder, fields.data_dir, config=ReidFolder.configure(source))


@pytest.fixture
def split_of(builder):
    """Opens a split, with the rows of its cameras."""

    def opened(name="train", records=None, **options):
        return Split(name, records or Records(builder, name), SIDES[name], loading(**options))

    return opened


def test_decode_gives_rgb_bytes_of_the_size():
    pixels = decode(png(noise(50, 30)), SIZE)
    assert pixels.shape == (*SIZE, 3) and pixels.dtype == np.uint8


@pytest.mark.parametrize("shape", [(100, 70), (9, 5), (32, 40)])
def test_decode_resizes_as_pillow_does_with_antialiased_bicubic(shape):
    expected = noise(*shape).resize(SIZE[::-1], Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(decode(png(noise(*shape)), SIZE), np.asarray(expected))


def test_fine_stripes_become_grey_when_made_smaller():
    stripes = np.zeros((8 * SIZE[0], 8 * SIZE[1], 3), np.uint8)
    stripes[::2] = 255
    assert np.abs(decode(png(Image.fromarray(stripes)), SIZE).astype(int) - 127).max() < 10


def test_an_image_of_the_size_is_left_as_it_is():
    np.testing.assert_array_equal(decode(png(noise(*SIZE)), SIZE), np.asarray(noise(*SIZE)))


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_a_greyscale_image_has_three_equal_channels(mode):
    grey = noise(*SIZE).convert(mode)
    expected = np.asarray(grey.convert("L"))
    np.testing.assert_array_equal(decode(png(grey), SIZE), np.stack([expected] * 3, axis=-1))


def test_a_palette_image_has_the_colours_of_its_palette():
    index = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 3
    image = Image.fromarray(index.astype(np.uint8), mode="P")
    palette = np.array([(250, 0, 10), (0, 90, 0), (7, 7, 200)], np.uint8)
    image.putpalette(palette.tobytes())
    np.testing.assert_array_equal(decode(png(image), SIZE), palette[index])


def test_transparency_is_dropped():
    colour = noise(*SIZE)
    transparent = colour.copy()
    transparent.putalpha(0)
    np.testing.assert_array_equal(decode(png(transparent), SIZE), np.asarray(colour))


def test_labels_follow_the_sorted_identities(split_of):
    # By name the files of identity 11 come first.
    assert split_of().labels.tolist() == [2, 2, 2, 0, 0, 0, 0, 1, 1]


def test_batches_agree_with_the_plan(split_of, market):
    split = split_of()
    batches = list(split.batches(PLAN))
    assert len(batches) == len(PLAN)
    for batch, row in zip(batches, PLAN, strict=True):
        files = [(market / split.paths[i]).read_bytes() for i in row]
        np.testing.assert_array_equal(batch["image"], [decode(file, SIZE) for file in files])
        np.testing.assert_array_equal(batch["label"], split.labels[row])
        np.testing.assert_array_equal(batch["camera"], SIDES["train"][row])


def test_a_camera_that_was_not_in_training_stays_unknown(split_of):
    (batch,) = split_of("gallery").batches(np.array([[4, 2, 1]]))
    assert batch["camera"].tolist() == [-1, 1, -1]


@pytest.mark.parametrize("options", [{"cache": "memory"}, {"threads": 1}, {"threads": 7}])
def test_neither_cache_nor_threads_change_a_batch(split_of, options):
    assert_equal(split_of(**options).batches(PLAN), split_of().batches(PLAN))


def test_a_worker_process_does_not_change_a_batch(split_of):
    flags.FLAGS.mark_as_parsed()  # as in main.py; Grain asks a flag of its own
    try:
        assert_equal(split_of(processes=1).batches(PLAN), split_of().batches(PLAN))
    finally:
        flags.FLAGS.unparse_flags()


@pytest.mark.parametrize(("cache", "reads"), [("memory", 1), ("file", 1), ("none", 2)])
def test_with_a_cache_every_image_is_decoded_once(builder, split_of, tmp_path, cache, reads):
    records = Counted(builder, "train")
    split = split_of(records=records, cache=cache, folder=tmp_path / "decoded")
    everything = np.arange(9).reshape(3, 3)
    assert_equal(list(split.batches(everything)), list(split.batches(everything)))
    assert [records.reads[i] for i in range(9)] == [reads] * 9


def test_a_cached_split_larger_than_one_piece_of_work_keeps_its_order(
    builder, split_of, monkeypatch
):
    monkeypatch.setattr("data.pipeline.DECODED_AT_ONCE", 2)
    assert_equal(split_of(cache="memory").batches(PLAN), split_of().batches(PLAN))


def test_the_next_process_finds_a_file_of_decoded_images(builder, split_of, tmp_path):
    first = split_of(cache="file", folder=tmp_path)
    assert_equal(first.batches(PLAN), split_of().batches(PLAN))
    assert isinstance(first.pixels, np.memmap) and not first.pixels.flags.writeable
    records = Counted(builder, "train")
    assert_equal(
        split_of(records=records, cache="file", folder=tmp_path).batches(PLAN),
        split_of().batches(PLAN),
    )
    assert not records.reads


def test_other_images_or_another_size_have_a_file_of_their_own(split_of, tmp_path):
    for name in ("train", "gallery"):
        assert split_of(name, cache="file", folder=tmp_path).pixels.shape[1:] == (*SIZE, 3)
    other = Loading((16, 8), "file", tmp_path, 1, 0)
    records = split_of()._records
    assert Split("train", records, SIDES["train"], other).pixels.shape == (9, 16, 8, 3)
    assert len(list(tmp_path.glob("*.npy"))) == 3


def test_indices_stand_in_for_images(split_of):
    split = split_of(cache="memory")
    for batch, told in zip(split.batches(PLAN), split.indices(PLAN), strict=True):
        np.testing.assert_array_equal(split.pixels[told.pop("index")], batch.pop("image"))
        assert_equal([told], [batch])


def test_the_training_plan_is_that_of_the_sampling(builder):
    records = Records(builder, "train")
    split = TrainingSplit("train", records, SIDES["train"], loading(), sampling=SAMPLING)
    for epoch in (1, 2):
        expected = sampling_plan(split.labels, 2, 2, seed=3, epoch=epoch)
        np.testing.assert_array_equal(split.plan(epoch), expected)


def test_what_fits_in_memory_is_measured_in_decoded_bytes(monkeypatch):
    class Free:
        available = 1000 * 32 * 16 * 3

    monkeypatch.setattr("data.pipeline.psutil.virtual_memory", Free)
    assert fits_in_memory(500, SIZE) and not fits_in_memory(501, SIZE)
