"""A data set is loaded from `config.data`, or one sentence says which files stand in the way."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data.builder import Records
from data.builders.rendered_reid import RenderedReid
from data.dataset import check_test, check_training, load_dataset, sources_of
from data.errors import DataError
from data.pipeline import Sampling, decode

# Identities and cameras that `market` has too, and others; the files are different ones.
OTHER = {
    "bounding_box_train": ("5_c7_8.jpg", "5_c3_8.jpg", "2_c3_8.jpg", "2_c7_9.jpg"),
    "query": ("20_c1_8.jpg",),
    "bounding_box_test": ("20_c7_8.jpg", "20_c3_9.jpg"),
}


def load(fields, *tests, identities=2, images=2):
    return load_dataset(fields, tests, Sampling(identities, images, seed=0))


def skipped(dataset):
    """The files left out, each with what is wrong with it, as eval.json lists them."""
    (test,) = dataset.tests
    return test.provenance.get("skipped", [])


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file):
    file.write_bytes(b"")


def write_text(file):
    file.write_text("not a picture")


def save_for_print(file):
    Image.new("CMYK", (8, 16)).save(file)


def save_with_16_bits(file):
    Image.new("I;16", (8, 16)).save(file, "PNG")


@pytest.fixture
def damaged(market):
    """One damaged image of each split, as the messages name them."""
    names = "bounding_box_train/2_c1_0.jpg", "query/21_c3_0.jpg", "bounding_box_test/99_c7_0.jpg"
    for name, damage in zip(names, (truncate, empty, write_text), strict=True):
        damage(market / name)
    return sorted(names)


@pytest.fixture
def other(market, write_image):
    """A second folder beside `market`."""
    for folder, names in OTHER.items():
        for name in names:
            write_image(market.with_name("other") / folder / name)
    return market.with_name("other")


@pytest.fixture
def joined(fields, other):
    """`config.data` that trains on both folders."""
    fields.joined = ("reid_folder=../other",)
    return fields


def test_a_folder_is_loaded(fields):
    dataset = load(fields)
    (test,) = dataset.tests
    assert (test.name, dataset.num_classes, dataset.num_cameras) == ("market", 3, 2)
    assert [len(split.labels) for split in (dataset.train, test.query, test.gallery)] == [9, 2, 5]


def test_batches_have_the_size_of_the_config_and_p_times_k_images(fields):
    dataset = load(fields)
    batches = list(dataset.train.batches(dataset.train.plan(1)))
    assert batches and all(batch["image"].shape == (4, 32, 16, 3) for batch in batches)


def test_cameras_of_the_test_splits_are_those_of_training(fields):
    (test,) = load(fields).tests
    assert test.query.sides.tolist() == [0, 1]
    assert test.gallery.sides.tolist() == [0, -1, 1, 0, -1]


def test_the_name_is_that_of_the_folder(fields, market):
    fields.root = str(market.rename(market.with_name("my-set v2")))
    dataset = load(fields)
    assert [test.name for test in dataset.tests] == list(dataset.provenance) == ["my_set_v2"]


def test_joined_training_sets_share_no_identity_and_no_camera(joined):
    dataset = load(joined)
    assert (dataset.num_classes, dataset.num_cameras) == (5, 4)
    assert list(dataset.provenance) == ["market", "other"]
    assert dataset.train.labels.tolist() == [2, 2, 2, 0, 0, 0, 0, 1, 1, 3, 3, 4, 4]
    assert dataset.train.sides.tolist() == [0, 0, 1, 0, 0, 1, 1, 0, 1, 2, 3, 2, 3]


def test_joined_training_sets_give_the_pictures_of_the_right_files(joined, market):
    train = load(joined).train
    assert train.paths[8:10] == [
        "market/bounding_box_train/5_c3_1.jpg",
        "other/bounding_box_train/2_c3_8.jpg",
    ]
    everything = np.arange(len(train.paths))
    (batch,) = train.batches(everything[None])
    files = [(market.parent / path).read_bytes() for path in train.paths]
    assert len(set(files)) == len(files) == 9 + 4
    np.testing.assert_array_equal(batch["image"], [decode(file, (32, 16)) for file in files])


def test_batches_of_joined_training_sets_mix_them(joined):
    train = load(joined).train
    seen = {
        label for epoch in (1, 2, 3) for row in train.plan(epoch) for label in train.labels[row]
    }
    assert seen == {0, 1, 2, 3, 4}


def test_several_test_sets_keep_their_order_and_names(fields, other):
    first, second = load(fields, "reid_folder=../other", "reid_folder=../market").tests
    assert (first.name, second.name) == ("other", "market")
    assert first.query.paths == ["query/20_c1_8.jpg"]
    assert second.query.paths == ["query/20_c1_0.jpg", "query/21_c3_0.jpg"]
    assert first.provenance["fingerprint"] != second.provenance["fingerprint"]


def test_test_sets_of_one_name_are_told_apart_by_their_folders(fields, market):
    copy = shutil.copytree(market, market.parent / "copies" / "market")
    tests = load(fields, "reid_folder", "reid_folder=../copies/market").tests
    assert [test.name for test in tests] == [f"market={market}", f"market={copy}"]


@pytest.mark.parametrize("spec", ["reid_folder=.", "reid_folder=../market/", "reid_folder={}/x/.."])
def test_one_data_set_written_in_two_ways_is_one(fields, market, spec):
    (test,) = load(fields, spec.format(market)).tests
    assert test.name == "market" and test.query.sides.tolist() == [0, 1]
    fields.joined = (spec.format(market),)
    with pytest.raises(DataError, match="of one folder twice"):
        load(fields)


def test_the_first_variant_need_not_be_named(fields):
    fields.builder, fields.variant = "cuhk03_np", ""
    training, testing = sources_of(fields, ["cuhk03_np/detected", "cuhk03_np/labeled"])
    assert training == testing[:1] != testing[1:]


def test_without_sampling_nothing_is_trained_and_cameras_are_known(fields):
    dataset = load_dataset(fields, (), None)
    (test,) = dataset.tests
    assert dataset.train is None and test.query.sides.tolist() == [0, 1]


def test_cameras_of_another_data_set_are_unknown(fields, other):
    (test,) = load(fields, "reid_folder=../other").tests
    assert test.query.sides.tolist() == [-1]
    assert test.gallery.sides.tolist() == [-1, -1]


def test_a_joined_training_sets_own_test_splits_know_its_cameras(joined):
    first, second = load(joined, "reid_folder", "reid_folder=../other").tests
    assert first.gallery.sides.tolist() == [0, -1, 1, 0, -1]
    assert second.gallery.sides.tolist() == [2, 3]


def test_a_folder_of_a_test_set_may_be_absolute(fields, other):
    (test,) = load(fields, f"reid_folder={other}").tests
    assert test.name == "other"


def test_the_same_data_set_twice_is_an_error(fields):
    with pytest.raises(DataError, match="config.eval.datasets names reid_folder .* twice"):
        load(fields, "reid_folder", "reid_folder")
    fields.joined = ("reid_folder",)
    with pytest.raises(DataError, match="config.data.joined names reid_folder .* twice"):
        load(fields)


def test_an_unknown_test_set_is_an_error_that_names_the_known_ones(fields):
    with pytest.raises(DataError, match="no data set 'market'; .*market1501"):
        load(fields, "market")


@pytest.mark.parametrize(
    ("splits", "missing"), [(("train", "train"), "query"), (("query", "gallery"), "train")]
)
def test_a_data_set_without_the_split_that_is_needed_is_an_error(
    fields, tmp_path, write_image, splits, missing
):
    for camera in (0, 1):
        write_image(tmp_path / f"{camera}.png")
    rows = [f"{camera}.png,1,{camera},{split}\n" for camera, split in enumerate(splits)]
    (tmp_path / "mine.csv").write_text("path,identity,camera,split\n" + "".join(rows))
    fields.builder, fields.root = "reid_csv", str(tmp_path / "mine.csv")
    with pytest.raises(DataError, match=f"mine has no {missing} split"):
        load(fields, identities=1)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "does not decode: "),
        (empty, "zero bytes"),
        (write_text, "does not decode: no image"),
        (save_for_print, "CMYK; convert it to 8-bit RGB"),
        (save_with_16_bits, "16 bits a channel; convert it to 8-bit RGB"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it_and_says_why(fields, market, damage, reason):
    damage(market / "query" / "20_c1_0.jpg")
    named = r"1 images of market cannot be used: query/20_c1_0.jpg \("
    with pytest.raises(DataError, match=named + reason):
        load(fields)


def test_damaged_files_can_be_left_out(fields, damaged):
    fields.on_bad_image = "skip"
    dataset = load(fields)
    (test,) = dataset.tests
    assert [line.split(" (")[0] for line in skipped(dataset)] == damaged
    assert dataset.train.labels.tolist() == [2, 2, 2, 0, 0, 0, 1, 1]
    assert (dataset.num_classes, dataset.num_cameras) == (3, 2)
    assert test.query.identities.tolist() == [20]
    assert test.gallery.identities.tolist() == [0, 20, 20, 21]
    kept = dataset.train.paths + test.query.paths + test.gallery.paths
    assert not set(damaged) & set(kept)
    assert len(list(dataset.train.batches(np.arange(8).reshape(4, 2)))) == 4


def test_the_error_comes_back_although_the_data_set_is_prepared(fields, damaged):
    fields.on_bad_image = "skip"
    load(fields)
    prepared = sorted(Path(fields.data_dir).glob("*/*"))
    assert len(skipped(load(fields))) == 3
    fields.on_bad_image = "error"
    with pytest.raises(DataError, match=".*".join(damaged)):
        load(fields)
    assert sorted(Path(fields.data_dir).glob("*/*")) == prepared


def test_a_mended_file_is_read(fields, market, damaged, write_image):
    with pytest.raises(DataError):
        load(fields)
    for name in damaged:
        write_image(market / name)
    assert skipped(load(fields)) == []


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_a_split_of_damaged_files_only_is_an_error_that_names_it(fields, market, on_bad_image):
    fields.on_bad_image = on_bad_image
    for file in (market / "query").iterdir():
        empty(file)
    with pytest.raises(DataError, match="none of the 2 images of the split query.*zero bytes"):
        load(fields)


def test_a_long_list_of_files_is_cut(fields, market):
    for index in range(12):
        empty(market / "query" / f"20_c1_{index + 10}.jpg")
    with pytest.raises(DataError, match="12 images.*query/20_c1_19.jpg .* and 2 more"):
        load(fields)


def test_a_training_identity_with_one_image_is_an_error(fields, market):
    (market / "bounding_box_train" / "5_c1_0.jpg").unlink()
    with pytest.raises(DataError, match="1 training identities have fewer than two images: 5"):
        load(fields)


def test_too_few_identities_for_a_batch_are_an_error(fields):
    with pytest.raises(DataError, match="has 3 identities, fewer than the 4 of a batch"):
        load(fields, identities=4)


def test_a_query_of_other_people_than_the_gallery_is_an_error(fields, market):
    for camera in (2, 3):
        next((market / "bounding_box_test").glob(f"20_c{camera}*")).unlink()
    (market / "bounding_box_test" / "21_c1_1.jpg").unlink()
    with pytest.raises(DataError, match=r"\(identities 20, 21\) shares no .*gallery \(0, 99\)"):
        load(fields)


def people(identities, cameras):
    return SimpleNamespace(identities=np.array(identities), cameras=np.array(cameras))


def test_queries_seen_by_their_own_camera_only_are_an_error(fields, market):
    for file in (market / "bounding_box_test").glob("2*"):
        file.unlink()
    for name in ("20_c1_8.jpg", "21_c3_8.jpg"):
        shutil.copy(next((market / "query").iterdir()), market / "bounding_box_test" / name)
    with pytest.raises(DataError, match="none of the 2 queries .* another camera"):
        load(fields)


def test_a_folder_that_cannot_be_written_is_an_error(fields, tmp_path):
    (tmp_path / "file").write_text("")
    fields.data_dir = str(tmp_path / "file")
    with pytest.raises(DataError, match="cannot be prepared .* config.data.data_dir"):
        load(fields)


def test_the_checks_let_good_splits_pass():
    check_training(np.array([1, 2, 1, 2]), identities_per_batch=2)
    check_test(people([5, 6], [1, 1]), people([6, 7], [2, 1]))


def test_an_unknown_variant_is_an_error_that_names_the_known_ones(fields):
    fields.builder, fields.variant = "rendered_reid", "huge"
    with pytest.raises(DataError, match="no variant 'huge'; it has 'full', 'small'"):
        load(fields)


def test_a_drawn_data_set_is_loaded(fields, drawn_config, drawn_dir, monkeypatch):
    monkeypatch.setitem(RenderedReid.builder_configs, "tiny", drawn_config)
    monkeypatch.setattr(RenderedReid, "VARIANTS", ("tiny",))
    fields.builder, fields.variant, fields.data_dir = "rendered_reid", "tiny", str(drawn_dir)
    dataset = load(fields, identities=4, images=4)
    assert [test.name for test in dataset.tests] == ["rendered_reid/tiny"]
    assert (dataset.num_classes, dataset.num_cameras) == (4, 8)
    (batch,) = dataset.train.batches(dataset.train.plan(1))
    assert batch["label"].tolist().count(0) == 4


@pytest.mark.parametrize(
    ("cache", "reads"), [("memory", 9), ("auto", 9), ("file", 9), ("device", 9), ("none", 18)]
)
def test_the_cache_field_says_whether_images_are_decoded_again(fields, monkeypatch, cache, reads):
    read = []
    encoded = Records.encoded
    monkeypatch.setattr(Records, "encoded", lambda self, i: read.append(i) or encoded(self, i))
    fields.cache = cache
    train = load(fields).train
    for _ in range(2):
        list(train.batches(np.arange(9).reshape(3, 3)))
    assert len(read) == reads


def test_real_pictures_are_loaded(fields, shared_data):
    root = shared_data / "pku_reid"
    if not root.is_dir():
        pytest.skip(f"{root} is not a folder")
    fields.root = str(root)
    dataset = load(fields, identities=8, images=4)
    (test,) = dataset.tests
    assert (dataset.num_classes, dataset.num_cameras, skipped(dataset)) == (44, 2, [])
    counts = [(len(set(s.identities)), len(s.identities)) for s in (test.query, test.gallery)]
    assert counts == [(30, 120), (30, 360)]
    assert len(dataset.train.labels) == 704
    batch = next(dataset.train.batches(dataset.train.plan(1)))
    assert batch["image"].shape == (32, 32, 16, 3) and batch["image"].std() > 20


def test_what_is_loaded_is_printed_with_what_was_left_out(fields, market, capsys):
    fields.on_bad_image = "skip"
    empty(market / "query" / "20_c1_9.jpg")
    load(fields)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-5:] == [
        "market train: 3 identities, 9 images, 2 cameras",
        "market query: 2 identities, 2 images, 2 cameras",
        "market gallery: 4 identities, 5 images, 4 cameras",
        "left out 1 files:",
        "  query/20_c1_9.jpg (zero bytes)",
    ]
