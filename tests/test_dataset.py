"""A data set is loaded from `config.data`, or one sentence says which files stand in the way."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data.builder import Records
from data.dataset import check_test, check_training, load_dataset
from data.errors import DataError
from data.pipeline import Sampling
from data.rendered_reid import RenderedReid


def load(fields, identities=2, images=2):
    return load_dataset(fields, Sampling(identities, images, seed=0))


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file):
    file.write_bytes(b"")


def write_text(file):
    file.write_text("not a picture")


@pytest.fixture
def damaged(market):
    """One damaged image of each split, as the messages name them."""
    names = "bounding_box_train/2_c1_0.jpg", "query/21_c3_0.jpg", "bounding_box_test/99_c7_0.jpg"
    for name, damage in zip(names, (truncate, empty, write_text), strict=True):
        damage(market / name)
    return sorted(names)


def test_a_folder_is_loaded(fields):
    dataset = load(fields)
    assert dataset.name == "market"
    assert (dataset.num_classes, dataset.num_cameras, dataset.skipped) == (3, 2, [])
    splits = dataset.train, dataset.query, dataset.gallery
    assert [len(split.labels) for split in splits] == [9, 2, 5]


def test_batches_have_the_size_of_the_config_and_p_times_k_images(fields):
    dataset = load(fields)
    batches = list(dataset.train.batches(dataset.train.plan(1)))
    assert batches and all(batch["image"].shape == (4, 32, 16, 3) for batch in batches)


def test_cameras_of_the_test_splits_are_those_of_training(fields):
    dataset = load(fields)
    assert dataset.query.sides.tolist() == [0, 1]
    assert dataset.gallery.sides.tolist() == [0, -1, 1, 0, -1]


def test_the_name_is_that_of_the_folder(fields, market):
    fields.root = str(market.rename(market.with_name("my-set v2")))
    assert load(fields).name == "my_set_v2"


@pytest.mark.parametrize("damage", [truncate, empty, write_text])
def test_a_damaged_file_is_an_error_that_names_it(fields, market, damage):
    damage(market / "query" / "20_c1_0.jpg")
    with pytest.raises(DataError, match="1 images of market do not decode: query/20_c1_0.jpg"):
        load(fields)


def test_damaged_files_can_be_left_out(fields, damaged):
    fields.on_bad_image = "skip"
    dataset = load(fields)
    assert dataset.skipped == damaged
    assert dataset.train.labels.tolist() == [2, 2, 2, 0, 0, 0, 1, 1]
    assert (dataset.num_classes, dataset.num_cameras) == (3, 2)
    assert dataset.query.identities.tolist() == [20]
    assert dataset.gallery.identities.tolist() == [0, 20, 20, 21]
    kept = dataset.train.paths + dataset.query.paths + dataset.gallery.paths
    assert not set(damaged) & set(kept)
    assert len(list(dataset.train.ordered(3))) == 3


def test_the_error_comes_back_although_the_data_set_is_prepared(fields, damaged):
    fields.on_bad_image = "skip"
    load(fields)
    prepared = sorted(Path(fields.data_dir).glob("*/*"))
    assert load(fields).skipped == damaged
    fields.on_bad_image = "error"
    with pytest.raises(DataError, match=", ".join(damaged)):
        load(fields)
    assert sorted(Path(fields.data_dir).glob("*/*")) == prepared


def test_a_mended_file_is_read(fields, market, damaged, write_image):
    with pytest.raises(DataError):
        load(fields)
    for name in damaged:
        write_image(market / name)
    assert load(fields).skipped == []


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_a_split_of_damaged_files_only_is_an_error_that_names_it(fields, market, on_bad_image):
    fields.on_bad_image = on_bad_image
    for file in (market / "query").iterdir():
        empty(file)
    with pytest.raises(DataError, match="query"):
        load(fields)


def test_a_long_list_of_files_is_cut(fields, market):
    for index in range(12):
        empty(market / "query" / f"20_c1_{index + 10}.jpg")
    with pytest.raises(DataError, match="12 images.*query/20_c1_19.jpg and 2 more"):
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
    with pytest.raises(DataError, match="config.data.variant = 'huge' is not one of full, small"):
        load(fields)


def test_a_drawn_data_set_is_loaded(fields, drawn_config, drawn_dir, monkeypatch):
    monkeypatch.setitem(RenderedReid.builder_configs, "tiny", drawn_config)
    fields.builder, fields.variant, fields.data_dir = "rendered_reid", "tiny", str(drawn_dir)
    dataset = load(fields, identities=4, images=4)
    assert dataset.name == "rendered_reid/tiny"
    assert (dataset.num_classes, dataset.num_cameras) == (4, 8)
    (batch,) = dataset.train.batches(dataset.train.plan(1))
    assert batch["label"].tolist().count(0) == 4


@pytest.mark.parametrize(("cache", "reads"), [("memory", 9), ("auto", 9), ("none", 18)])
def test_the_cache_field_says_whether_images_are_decoded_again(fields, monkeypatch, cache, reads):
    read = []
    encoded = Records.encoded
    monkeypatch.setattr(Records, "encoded", lambda self, i: read.append(i) or encoded(self, i))
    fields.cache = cache
    train = load(fields).train
    for _ in range(2):
        list(train.ordered(3))
    assert len(read) == reads


def test_real_pictures_are_loaded(fields, shared_data):
    root = shared_data / "pku_reid"
    if not root.is_dir():
        pytest.skip(f"{root} is not a folder")
    fields.root = str(root)
    dataset = load(fields, identities=8, images=4)
    assert (dataset.num_classes, dataset.num_cameras, dataset.skipped) == (44, 2, [])
    counts = {
        name: (len(set(split.identities)), len(split.identities))
        for name, split in (("query", dataset.query), ("gallery", dataset.gallery))
    }
    assert counts == {"query": (30, 120), "gallery": (30, 360)}
    assert len(dataset.train.labels) == 704
    batch = next(dataset.train.batches(dataset.train.plan(1)))
    assert batch["image"].shape == (32, 32, 16, 3) and batch["image"].std() > 20


def test_the_summary_counts_and_lists_what_was_left_out(fields, market):
    fields.on_bad_image = "skip"
    empty(market / "query" / "20_c1_9.jpg")
    lines = load(fields).summary().splitlines()
    assert lines[0] == "market train: 3 identities, 9 images, 2 cameras"
    assert lines[1] == "market query: 2 identities, 2 images, 2 cameras"
    assert lines[-2:] == ["left out 1 files that do not decode:", "  query/20_c1_9.jpg"]
