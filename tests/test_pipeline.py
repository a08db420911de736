"""Pictures become uint8 batches that agree with the plan, however they are loaded."""

from collections import Counter

import numpy as np
import pytest
from absl import flags

from data.builder import prepare
from data.builders.reid_folder import ReidFolder
from data.dataset_spec import DatasetSpec
from data.pipeline import Cameras, Loading, Sampling, Split, TrainingSplit, fits_in_memory
from data.records import Records
from data.sampling import sampling_plan
from dpeformer_jax.base.pictures import decode

SIZE = (32, 16)
SAMPLING = Sampling(identities_per_batch=2, images_per_identity=2, seed=3)
PLAN = np.array([[3, 0, 8, 8], [1, 2, 7, 4], [5, 6, 0, 3]])


class Counted(Records):
    """Records that count how often each image is read."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.reads = Counter()

    def encoded(self, index):
        self.reads[int(index)] += 1
        return super().encoded(index)


def cameras_of(records):
    return Cameras.of([("market", records.cameras, {})])


def loading(cache="none", folder=None, threads=2, processes=0):
    return Loading(SIZE, cache, folder, threads, processes)


def assert_equal(batches, others):
    for batch, other in zip(batches, others, strict=True):
        np.testing.assert_array_equal(batch, other)


@pytest.fixture
def builder(settings):
    spec = DatasetSpec("reid_folder", root=settings.root, pattern=settings.pattern)
    return prepare(ReidFolder, settings.data_dir, config=ReidFolder.configure(spec))


@pytest.fixture
def split_of(builder):
    """Opens a split."""

    def opened(name="train", records=None, **options):
        records = records or Records(builder, name)
        return Split(name, records, {}, cameras_of(records), loading(**options))

    return opened


def test_labels_follow_the_sorted_identities(split_of):
    # By name the files of identity 11 come first.
    assert split_of().labels.tolist() == [2, 2, 2, 0, 0, 0, 0, 1, 1]


def test_batches_agree_with_the_plan(split_of, market):
    split = split_of()
    batches = list(split.batches(PLAN))
    assert len(batches) == len(PLAN)
    for batch, row in zip(batches, PLAN, strict=True):
        assert batch.shape == (4, *SIZE, 3) and batch.dtype == np.uint8
        files = [(market / split.paths[i]).read_bytes() for i in row]
        np.testing.assert_array_equal(batch, [decode(file, SIZE) for file in files])


def test_a_split_names_its_cameras_and_says_which_took_each_image(split_of):
    train, gallery = split_of(), split_of("gallery")
    assert (len(train), len(gallery)) == (9, 5)
    assert train.camera_names == (("market", 1), ("market", 3))
    assert train.camera_rows.tolist() == [0, 0, 1, 0, 0, 1, 1, 0, 1]
    assert gallery.camera_names == tuple(("market", camera) for camera in (1, 2, 3, 7))
    assert gallery.camera_rows.tolist() == [0, 1, 2, 0, 3]
    assert train.camera_rows.dtype == train.labels.dtype == np.int32


def test_cameras_of_one_number_in_two_data_sets_are_two():
    cameras = Cameras.of([("b", np.array([4, 2, 4]), {4: "door"}), ("a", np.array([2, 9]), {})])
    assert cameras.names == (("b", 2), ("b", "door"), ("a", 2), ("a", 9))
    assert cameras.rows.tolist() == [1, 0, 1, 2, 3]


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


def test_other_images_or_another_size_have_a_file_of_their_own(builder, split_of, tmp_path):
    for name in ("train", "gallery"):
        assert split_of(name, cache="file", folder=tmp_path).pixels.shape[1:] == (*SIZE, 3)
    other = Loading((16, 8), "file", tmp_path, 1, 0)
    records = Records(builder, "train")
    assert Split("train", records, {}, cameras_of(records), other).pixels.shape == (9, 16, 8, 3)
    assert len(list(tmp_path.glob("*.npy"))) == 3


@pytest.mark.parametrize("cache", ["memory", "file", "none"])
def test_pixels_give_the_images_of_a_batch_by_index(split_of, tmp_path, cache):
    split = split_of(cache=cache, folder=tmp_path)
    for batch, row in zip(split.batches(PLAN), PLAN, strict=True):
        np.testing.assert_array_equal(split.pixels[row], batch)


def test_the_training_plan_is_that_of_the_sampling(builder):
    records = Records(builder, "train")
    split = TrainingSplit("train", records, {}, cameras_of(records), loading(), sampling=SAMPLING)
    for epoch in (1, 2):
        expected = sampling_plan(split.labels, 2, 2, seed=3, epoch=epoch)
        np.testing.assert_array_equal(split.plan(epoch), expected)


def test_what_fits_in_memory_is_measured_in_decoded_bytes(monkeypatch):
    class Free:
        available = 1000 * 32 * 16 * 3

    monkeypatch.setattr("data.pipeline.psutil.virtual_memory", Free)
    assert fits_in_memory(500, SIZE) and not fits_in_memory(501, SIZE)
