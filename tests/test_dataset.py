"""A data set is loaded from `config.data`, or one sentence says which files stand in the way."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from configs.default import get_config
from data.builders.rendered_reid import RenderedReid
from data.dataset import check_test, check_training, load_dataset, specs_of
from data.dataset_spec import DataSettings
from data.pipeline import Sampling
from data.records import Records
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.base.pictures import decode

# Identities and cameras that `market` has too, and others; the files are different ones.
OTHER = {
    "bounding_box_train": ("5_c7_8.jpg", "5_c3_8.jpg", "2_c3_8.jpg", "2_c7_9.jpg"),
    "query": ("20_c1_8.jpg",),
    "bounding_box_test": ("20_c7_8.jpg", "20_c3_9.jpg"),
}


def load(settings, *tests, identities=2, images=2, **changes):
    """Loads what `settings` names, with other values of some of its fields."""
    return load_dataset(replace(settings, **changes), tests, Sampling(identities, images, seed=0))


def rows_among(names, split):
    """The place of each image's camera among `names`; -1 for another camera."""
    cameras = [split.camera_names[row] for row in split.camera_rows]
    return [names.index(camera) if camera in names else -1 for camera in cameras]


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


def save_with_32_bits(file):
    Image.new("F", (8, 16)).save(file, "TIFF")


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
def joined(settings, other):
    """Settings that train on both folders."""
    return replace(settings, joined=("reid_folder=../other",))


def test_the_settings_are_the_data_fields_of_the_config_with_their_defaults():
    assert DataSettings(**get_config().data.to_dict()) == DataSettings()


def test_a_folder_is_loaded(settings):
    dataset = load(settings)
    (test,) = dataset.tests
    assert (test.name, dataset.num_classes) == ("market", 3)
    assert [len(split) for split in (dataset.train, test.query, test.gallery)] == [9, 2, 5]


def test_batches_have_the_size_of_the_config_and_p_times_k_images(settings):
    dataset = load(settings)
    batches = list(dataset.train.batches(dataset.train.plan(1)))
    assert batches and all(batch.shape == (4, 32, 16, 3) for batch in batches)


def test_cameras_of_the_test_splits_are_those_of_training(settings):
    dataset = load(settings)
    (test,) = dataset.tests
    assert dataset.train.camera_names == (("market", 1), ("market", 3))
    assert rows_among(dataset.train.camera_names, test.query) == [0, 1]
    assert rows_among(dataset.train.camera_names, test.gallery) == [0, -1, 1, 0, -1]


def test_the_name_is_that_of_the_folder(settings, market):
    dataset = load(settings, root=str(market.rename(market.with_name("my-set v2"))))
    assert dataset.train.camera_names == (("my_set_v2", 1), ("my_set_v2", 3))
    assert [test.name for test in dataset.tests] == list(dataset.provenance) == ["my_set_v2"]


def test_joined_training_sets_share_no_identity_and_no_camera(joined):
    dataset = load(joined)
    assert dataset.num_classes == 5
    assert dataset.train.camera_names == (
        *(("market", 1), ("market", 3)),
        *(("other", 3), ("other", 7)),
    )
    assert list(dataset.provenance) == ["market", "other"]
    assert dataset.train.labels.tolist() == [2, 2, 2, 0, 0, 0, 0, 1, 1, 3, 3, 4, 4]
    assert dataset.train.camera_rows.tolist() == [0, 0, 1, 0, 0, 1, 1, 0, 1, 2, 3, 2, 3]


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
    np.testing.assert_array_equal(batch, [decode(file, (32, 16)) for file in files])


def test_batches_of_joined_training_sets_mix_them(joined):
    train = load(joined).train
    seen = {
        label for epoch in (1, 2, 3) for row in train.plan(epoch) for label in train.labels[row]
    }
    assert seen == {0, 1, 2, 3, 4}


def test_several_test_sets_keep_their_order_and_names(settings, other):
    first, second = load(settings, "reid_folder=../other", "reid_folder=../market").tests
    assert (first.name, second.name) == ("other", "market")
    assert first.query.paths == ["query/20_c1_8.jpg"]
    assert second.query.paths == ["query/20_c1_0.jpg", "query/21_c3_0.jpg"]
    assert first.provenance["fingerprint"] != second.provenance["fingerprint"]


def test_test_sets_of_one_name_are_told_apart_by_their_folders(settings, market):
    copy = shutil.copytree(market, market.parent / "copies" / "market")
    tests = load(settings, "reid_folder", "reid_folder=../copies/market").tests
    assert [test.name for test in tests] == [f"market={market}", f"market={copy}"]


@pytest.mark.parametrize("spec", ["reid_folder=.", "reid_folder=../market/", "reid_folder={}/x/.."])
def test_one_data_set_written_in_two_ways_is_one(settings, market, spec):
    dataset = load(settings, spec.format(market))
    (test,) = dataset.tests
    assert test.name == "market"
    assert rows_among(dataset.train.camera_names, test.query) == [0, 1]
    with pytest.raises(UserError, match="of one folder twice"):
        load(settings, joined=(spec.format(market),))


def test_one_folder_by_two_patterns_is_two_data_sets(settings):
    by_frame = r"reid_folder;pattern=(?P<identity>-?\d+)_c\d_(?P<camera>\d)"
    first, second = load(settings, "reid_folder", by_frame).tests
    names = [test.name.partition(";pattern=") for test in (first, second)]
    assert [name[0] for name in names] == [f"market={settings.root}"] * 2
    assert names[0][2] == settings.pattern and f"reid_folder;pattern={names[1][2]}" == by_frame
    assert first.gallery.cameras.tolist() != second.gallery.cameras.tolist()
    assert first.provenance["fingerprint"] != second.provenance["fingerprint"]
    with pytest.raises(UserError, match="config.eval.datasets names reid_folder .* twice"):
        load(settings, by_frame, by_frame)


def test_a_joined_set_has_a_pattern_of_its_own(settings, market, write_image):
    other = market.with_name("other")
    for name in ("in-x-1", "out-x-2", "in-y-3", "out-y-4"):
        write_image(other / "bounding_box_train" / f"{name}.jpg")
    for folder in ("query", "bounding_box_test"):
        write_image(other / folder / f"{folder[0]}-z.jpg")
    pattern = r";pattern=(?P<camera>\w+)-(?P<identity>\w+)"
    train = load(settings, "reid_folder", joined=(f"reid_folder=../other{pattern}",)).train
    assert train.labels[-4:].tolist() == [3, 4, 3, 4]
    assert train.camera_names[2:] == (("other", "in"), ("other", "out"))


def test_the_first_variant_need_not_be_named(settings):
    settings = replace(settings, builder="cuhk03_np")
    training, testing = specs_of(settings, ["cuhk03_np/detected", "cuhk03_np/labeled"])
    assert training == testing[:1] != testing[1:]


@pytest.mark.parametrize("tests", [(), ("reid_folder=../other",)])
def test_scoring_has_the_cameras_of_training_and_no_provenance(joined, tests):
    dataset, trained = load_dataset(joined, tests, None), load(joined, *tests)
    assert dataset.train is None and dataset.provenance == {} and dataset.num_classes == 1
    for test, same in zip(dataset.tests, trained.tests, strict=True):
        assert (test.name, test.provenance) == (same.name, same.provenance)
        assert test.gallery.camera_names == same.gallery.camera_names
        assert test.query.camera_rows.tolist() == same.query.camera_rows.tolist()
        assert set(rows_among(trained.train.camera_names, test.gallery)) != {-1}


def test_scoring_opens_no_training_set(settings, other, market):
    shutil.rmtree(market)
    for builder in ("reid_folder", "market1501"):
        scored = replace(settings, builder=builder, joined=("reid_folder=../gone",))
        (test,) = load_dataset(scored, (f"reid_folder={other}",), None).tests
        assert test.name == "other" and len(test.gallery) == 2
    assert [path.name for path in Path(settings.data_dir, "reid_folder").iterdir()] == [
        path.name for path in Path(settings.data_dir, "reid_folder").glob("other-*")
    ]


@pytest.mark.parametrize("builder", ["reid_folder", "reid_csv", "market1501"])
def test_scoring_other_data_sets_needs_no_root(settings, other, builder):
    scored = replace(settings, builder=builder, root="")
    (test,) = load_dataset(scored, (f"reid_folder={other}",), None).tests
    assert test.query.camera_names == (("other", 1),)
    with pytest.raises(UserError, match="config.data.root is empty"):
        load(scored, f"reid_folder={other}")


def test_cameras_of_another_data_set_are_unknown(settings, other):
    dataset = load(settings, "reid_folder=../other")
    (test,) = dataset.tests
    assert rows_among(dataset.train.camera_names, test.query) == [-1]
    assert rows_among(dataset.train.camera_names, test.gallery) == [-1, -1]


def test_cameras_of_another_data_set_of_the_same_name_are_unknown(settings, market):
    copy = shutil.copytree(market, market.parent / "copies" / "market")
    dataset = load(settings, f"reid_folder={copy}")
    (test,) = dataset.tests
    assert test.name == "market"
    assert test.gallery.camera_names[0] == (f"market={copy}", 1)
    assert set(rows_among(dataset.train.camera_names, test.gallery)) == {-1}


def test_joined_training_sets_of_one_name_share_no_camera(settings, market, write_image):
    copy = market.parent / "copies" / "market"
    for name in ("2_c1_50.jpg", "2_c3_51.jpg"):
        write_image(copy / "bounding_box_train" / name)
    for folder in ("query", "bounding_box_test"):
        shutil.copytree(market / folder, copy / folder)
    dataset = load(settings, "reid_folder", joined=(f"reid_folder={copy}",))
    own, copied = f"market={market}", f"market={copy}"
    assert dataset.train.camera_names == ((own, 1), (own, 3), (copied, 1), (copied, 3))
    assert dataset.train.camera_rows[-2:].tolist() == [2, 3]
    assert list(dataset.provenance) == [own, copied]
    (test,) = dataset.tests
    assert test.name == "market"
    assert rows_among(dataset.train.camera_names, test.query) == [0, 1]


def test_a_joined_training_sets_own_test_splits_know_its_cameras(joined):
    dataset = load(joined, "reid_folder", "reid_folder=../other")
    first, second = dataset.tests
    assert rows_among(dataset.train.camera_names, first.gallery) == [0, -1, 1, 0, -1]
    assert rows_among(dataset.train.camera_names, second.gallery) == [2, 3]


def test_a_folder_of_a_test_set_may_be_absolute(settings, other):
    (test,) = load(settings, f"reid_folder={other}").tests
    assert test.name == "other"


def test_the_same_data_set_twice_is_an_error(settings):
    with pytest.raises(UserError, match="config.eval.datasets names reid_folder .* twice"):
        load(settings, "reid_folder", "reid_folder")
    with pytest.raises(UserError, match="config.data.joined names reid_folder .* twice"):
        load(settings, joined=("reid_folder",))


def test_an_unknown_test_set_is_an_error_that_names_the_known_ones(settings):
    with pytest.raises(UserError, match="no data set 'market'; .*market1501"):
        load(settings, "market")


@pytest.mark.parametrize(
    ("splits", "missing"), [(("train", "train"), "query"), (("query", "gallery"), "train")]
)
def test_a_data_set_without_the_split_that_is_needed_is_an_error(
    settings, tmp_path, write_image, splits, missing
):
    for camera in (0, 1):
        write_image(tmp_path / f"{camera}.png")
    rows = [f"{camera}.png,1,{camera},{split}\n" for camera, split in enumerate(splits)]
    (tmp_path / "mine.csv").write_text("path,identity,camera,split\n" + "".join(rows))
    with pytest.raises(UserError, match=f"mine has no {missing} split; "):
        load(settings, identities=1, builder="reid_csv", root=str(tmp_path / "mine.csv"))


def test_a_folder_without_training_images_can_be_tested(settings, market):
    (market / "bounding_box_train").rename(market / "elsewhere")
    (test,) = load_dataset(settings, (), None).tests
    assert (len(test.query), len(test.gallery)) == (2, 5)


def test_training_on_a_folder_without_training_images_is_an_error_that_names_it(settings, market):
    shutil.rmtree(market / "bounding_box_train")
    with pytest.raises(UserError) as error:
        load(settings)
    assert str(error.value) == (
        f"market has no train split, for {market / 'bounding_box_train'} is missing; train on "
        "another data set and name this one in config.eval.datasets"
    )


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "does not decode: "),
        (empty, "zero bytes"),
        (write_text, "does not decode: no image"),
        (save_with_32_bits, "Pillow mode F; convert it to 8-bit RGB"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it_and_says_why(settings, market, damage, reason):
    damage(market / "query" / "20_c1_0.jpg")
    named = r"1 images of market cannot be used: query/20_c1_0.jpg \("
    with pytest.raises(UserError, match=named + reason):
        load(settings)


@pytest.mark.parametrize("save", [save_for_print, save_with_16_bits])
def test_cmyk_and_16_bits_are_read(settings, market, save):
    save(market / "query" / "20_c1_0.jpg")
    (test,) = load(settings).tests
    (image,) = next(test.query.batches(np.array([[0]])))
    assert image.shape == (32, 16, 3) and len(np.unique(image)) == 1


def test_a_turned_picture_comes_out_upright_in_a_training_batch(settings, market):
    upright = np.zeros((32, 16, 3), np.uint8)
    upright[:8] = 255  # white above black
    exif = Image.Exif()
    exif[0x0112] = 6  # turn the stored picture to the right
    file = market / "bounding_box_train" / "2_c1_0.jpg"
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))
    stored.save(file, quality=100, exif=exif)
    train = load(settings).train
    place = train.paths.index("bounding_box_train/2_c1_0.jpg")
    (image,) = next(train.batches(np.array([[place]])))
    np.testing.assert_allclose(image.astype(int), upright, atol=3)


def test_damaged_files_can_be_left_out(settings, damaged):
    dataset = load(settings, on_bad_image="skip")
    (test,) = dataset.tests
    assert [line.split(" (")[0] for line in skipped(dataset)] == damaged
    assert dataset.train.labels.tolist() == [2, 2, 2, 0, 0, 0, 1, 1]
    assert (dataset.num_classes, len(dataset.train.camera_names)) == (3, 2)
    assert test.query.identities.tolist() == [20]
    assert test.gallery.identities.tolist() == [0, 20, 20, 21]
    kept = dataset.train.paths + test.query.paths + test.gallery.paths
    assert not set(damaged) & set(kept)
    assert len(list(dataset.train.batches(np.arange(8).reshape(4, 2)))) == 4


def test_the_error_comes_back_although_the_data_set_is_prepared(settings, damaged):
    load(settings, on_bad_image="skip")
    prepared = sorted(Path(settings.data_dir).glob("*/*"))
    assert len(skipped(load(settings, on_bad_image="skip"))) == 3
    with pytest.raises(UserError, match=".*".join(damaged)):
        load(settings)
    assert sorted(Path(settings.data_dir).glob("*/*")) == prepared


def test_a_mended_file_is_read(settings, market, damaged, write_image):
    with pytest.raises(UserError):
        load(settings)
    for name in damaged:
        write_image(market / name)
    assert skipped(load(settings)) == []


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_a_split_of_damaged_files_only_is_an_error_that_names_it(settings, market, on_bad_image):
    for file in (market / "query").iterdir():
        empty(file)
    with pytest.raises(UserError, match="none of the 2 images of the split query.*zero bytes"):
        load(settings, on_bad_image=on_bad_image)


def test_a_long_list_of_files_is_cut(settings, market):
    for index in range(12):
        empty(market / "query" / f"20_c1_{index + 10}.jpg")
    with pytest.raises(UserError, match="12 images.*query/20_c1_19.jpg .* and 2 more"):
        load(settings)


def test_a_training_identity_with_one_image_is_an_error(settings, market):
    (market / "bounding_box_train" / "5_c1_0.jpg").unlink()
    with pytest.raises(UserError, match="1 training identities have fewer than two images: 5"):
        load(settings)


def test_too_few_identities_for_a_batch_are_an_error(settings):
    with pytest.raises(UserError, match="has 3 identities, fewer than the 4 of a batch"):
        load(settings, identities=4)


def test_a_query_of_other_people_than_the_gallery_is_an_error(settings, market):
    for camera in (2, 3):
        next((market / "bounding_box_test").glob(f"20_c{camera}*")).unlink()
    (market / "bounding_box_test" / "21_c1_1.jpg").unlink()
    with pytest.raises(UserError, match=r"\(identities 20, 21\) shares no .*gallery \(0, 99\)"):
        load(settings)


def people(identities, cameras):
    return SimpleNamespace(identities=np.array(identities), cameras=np.array(cameras))


def test_queries_seen_by_their_own_camera_only_are_an_error(settings, market):
    for file in (market / "bounding_box_test").glob("2*"):
        file.unlink()
    for name in ("20_c1_8.jpg", "21_c3_8.jpg"):
        shutil.copy(next((market / "query").iterdir()), market / "bounding_box_test" / name)
    with pytest.raises(UserError, match="none of the 2 queries .* another camera"):
        load(settings)


def test_a_folder_that_cannot_be_written_is_an_error(settings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be prepared .* config.data.data_dir"):
        load(settings, data_dir=str(tmp_path / "file"))


def test_the_checks_let_good_splits_pass():
    check_training(np.array([1, 2, 1, 2]), identities_per_batch=2)
    check_test(people([5, 6], [1, 1]), people([6, 7], [2, 1]))


def test_an_unknown_variant_is_an_error_that_names_the_known_ones(settings):
    with pytest.raises(UserError, match="no variant 'huge'; it has 'full', 'small'"):
        load(settings, builder="rendered_reid", variant="huge")


def test_a_drawn_data_set_is_loaded(settings, drawn_config, drawn_dir, monkeypatch):
    monkeypatch.setitem(RenderedReid.builder_configs, "tiny", drawn_config)
    monkeypatch.setattr(RenderedReid, "VARIANTS", ("tiny",))
    drawn = {"builder": "rendered_reid", "variant": "tiny", "data_dir": str(drawn_dir)}
    dataset = load(settings, identities=4, images=4, **drawn)
    assert [test.name for test in dataset.tests] == ["rendered_reid/tiny"]
    assert (dataset.num_classes, len(dataset.train.camera_names)) == (4, 8)
    (row,) = dataset.train.plan(1)
    assert dataset.train.labels[row].tolist().count(0) == 4
    (batch,) = dataset.train.batches(row[None])
    assert batch.shape == (16, 32, 16, 3)


@pytest.mark.parametrize(
    ("cache", "reads"), [("memory", 9), ("auto", 9), ("file", 9), ("device", 9), ("none", 18)]
)
def test_the_cache_field_says_whether_images_are_decoded_again(settings, monkeypatch, cache, reads):
    read = []
    encoded = Records.encoded
    monkeypatch.setattr(Records, "encoded", lambda self, i: read.append(i) or encoded(self, i))
    train = load(settings, cache=cache).train
    for _ in range(2):
        list(train.batches(np.arange(9).reshape(3, 3)))
    assert len(read) == reads


def test_real_pictures_are_loaded(settings, shared_data):
    root = shared_data / "pku_reid"
    if not root.is_dir():
        pytest.skip(f"{root} is not a folder")
    dataset = load(settings, identities=8, images=4, root=str(root))
    (test,) = dataset.tests
    assert (dataset.num_classes, len(dataset.train.camera_names)) == (44, 2)
    assert skipped(dataset) == []
    counts = [(len(set(s.identities)), len(s.identities)) for s in (test.query, test.gallery)]
    assert counts == [(30, 120), (30, 360)]
    assert len(dataset.train.labels) == 704
    batch = next(dataset.train.batches(dataset.train.plan(1)))
    assert batch.shape == (32, 32, 16, 3) and batch.std() > 20


def test_counts_and_files_left_out_are_logged_and_nothing_is_printed(
    settings, market, caplog, capsys
):
    caplog.set_level("INFO", "data")
    empty(market / "query" / "20_c1_9.jpg")
    load(settings, on_bad_image="skip")
    assert not capsys.readouterr().out
    assert caplog.messages[-1].splitlines() == [
        "market train: 3 identities, 9 images, 2 cameras",
        "market query: 2 identities, 2 images, 2 cameras",
        "market gallery: 4 identities, 5 images, 4 cameras",
        "left out 1 files:",
        "  query/20_c1_9.jpg (zero bytes)",
    ]


def test_a_training_identity_in_the_test_is_warned_of(settings, market, write_image, caplog):
    write_image(market / "bounding_box_test" / "5_c9_0.jpg")
    load(settings)
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.getMessage() == "market: 1 identities are in training and in test: 5"
