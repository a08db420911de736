"""Held-out people and given data sets: who counts, and who is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data import calibration_set
from data.calibration_set import given_set, held_out_set
from data.dataset import load_dataset
from data.dataset_spec import DataSettings
from data.pipeline import Sampling
from data.verify import verify
from dpeformer_jax.base.errors import UserError

SAMPLING = Sampling(2, 2, seed=0)


def people_folder(folder, write_image, people=10, cameras=2):
    """A folder a person, of two pictures from each camera."""
    for person in range(people):
        for number in range(2 * cameras):
            name = f"{folder.name}{person}_cam{number % cameras + 1}_{number}.png"
            write_image(folder / f"p{person}" / name)
    return folder


@pytest.fixture
def people(tmp_path, write_image):
    """Settings that train on half of ten people and hold out two of these five."""
    root = people_folder(tmp_path / "people", write_image)
    return DataSettings(
        *("reid_folder", "", str(root)),
        data_dir=str(tmp_path / "prepared"),
        image_size=(32, 16),
        held_out=0.4,
    )


def names(images):
    return set(images.identity_names)


def test_held_out_people_are_neither_trained_on_nor_tested(people):
    dataset, held = load_dataset(people, (), SAMPLING), held_out_set(people, {})
    everyone = load_dataset(replace(people, held_out=0.0), (), SAMPLING)
    assert names(held.images) | names(dataset.train) == names(everyone.train)
    assert not names(held.images) & names(dataset.train)
    assert (dataset.num_classes, everyone.num_classes) == (3, 5) and len(held.images) == 8
    (told,), (before,) = dataset.provenance.values(), everyone.provenance.values()
    assert set(told.pop("held_out_identities")) == names(held.images) and told == before
    assert "held_out_identities" not in before
    assert held.cameras_known and set(held.images.cameras) == {1, 2}


def test_without_held_out_people_a_training_is_what_it_was(people):
    one, other = (
        load_dataset(replace(people, held_out=share), (), SAMPLING) for share in (0.0, 0.4)
    )
    for test, again in zip(one.tests, other.tests, strict=True):
        assert (test.query.paths, test.gallery.paths) == (again.query.paths, again.gallery.paths)
        assert test.provenance == again.provenance
    assert len(one.train) == 20 and one.train.labels.tolist() == sorted(one.train.labels)


def test_who_is_held_out_follows_from_names_and_not_from_order_or_place(
    people, tmp_path, write_image
):
    moved = people_folder(tmp_path / "elsewhere", write_image, people=10, cameras=3)
    again = replace(people, root=str(moved))
    assert names(held_out_set(people, {}).images) == names(held_out_set(again, {}).images)
    seeds = {tuple(names(held_out_set(replace(people, split_seed=s), {}).images)) for s in range(4)}
    assert len(seeds) > 1


def test_each_joined_set_holds_out_its_own_people(people, tmp_path, write_image):
    people_folder(tmp_path / "more", write_image, people=10)
    joined = replace(people, joined=("reid_folder=../more",))
    held, dataset = held_out_set(joined, {}), load_dataset(joined, (), SAMPLING)
    assert (
        sorted(name.split("/")[0] for name in names(held.images)) == ["more"] * 2 + ["people"] * 2
    )
    assert not names(held.images) & names(dataset.train) and dataset.num_classes == 6
    assert len(set(held.images.cameras)) == 4 and list(held.provenance) == ["people", "more"]


def test_distractors_of_a_gallery_cost_no_joined_set_a_held_out_person(people, market, write_image):
    for name in ("12_c1_0.jpg", "12_c3_1.jpg"):
        write_image(market / "bounding_box_train" / name)
    joined = replace(people, joined=(f"reid_folder={market}",), held_out=0.5)
    held = held_out_set(joined, {}).images
    sets = [name.split("/")[0] for name in names(held)]
    assert sorted(sets) == ["market"] * 2 + ["people"] * 2


def test_a_held_out_picture_with_a_copy_in_the_training_is_left_out(people):
    before, trained = held_out_set(people, {}).images, load_dataset(people, (), SAMPLING).train
    root = Path(people.root)
    shutil.copy(root / trained.paths[0], root / before.paths[0])
    after = held_out_set(people, {}).images
    assert after.paths == before.paths[1:] and not set(after.digests) & set(trained.digests)


def test_a_set_of_which_nothing_counts_is_refused(people, market, monkeypatch):
    monkeypatch.setattr(calibration_set, "MOST", 0)
    with pytest.raises(UserError, match="none of the 16 pictures .all of market. can be calib"):
        given_set(people, f"reid_folder={market}", (), {})


def test_a_training_that_held_out_nobody_is_told_both_mends(people):
    with pytest.raises(UserError, match="data.held_out=0.2, or give .*calibrate.dataset="):
        held_out_set(replace(people, held_out=0.0), {})


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_too_few_people_to_hold_out_or_to_train_on_are_named(people, share):
    with pytest.raises(UserError, match=f"held_out = {share} of 5 training identities"):
        load_dataset(replace(people, held_out=share), (), SAMPLING)


def test_the_data_are_verified_as_they_are_trained_on(people):
    report = verify(people, (), SAMPLING)
    (told,) = report["datasets"]
    assert report["problems"] == []
    assert list(told["splits"]) == ["train", "query", "gallery", "held_out"]
    small = verify(people, (), Sampling(4, 2, seed=0))
    assert "has 3 identities, fewer than the 4 of a batch" in small["problems"][0]


def test_all_splits_of_a_given_set_count_without_junk_distractors_and_copies(
    people, market, write_image
):
    file = write_image(market / "bounding_box_test" / "20_c2_9.jpg")
    (market / "bounding_box_test" / "20_c3_8.jpg").write_bytes(file.read_bytes())
    found = given_set(people, f"reid_folder={market}", (), {})
    assert names(found.images) == {2, 5, 11, 20, 21, 99}  # neither -1 nor 0
    assert len(found.images) == 9 + 2 + 4 + 1
    assert len(set(found.images.digests)) == len(found.images)
    assert list(found.provenance) == ["market"]


def test_a_test_set_is_refused_under_any_name(people, market, tmp_path):
    text = f"reid_folder={market}"
    with pytest.raises(UserError, match="holds 7 pictures of the test set market"):
        given_set(people, text, (text,), {})
    copy = shutil.copytree(market, tmp_path / "copy")
    (copy / "bounding_box_test/99_c7_0.jpg").unlink()
    with pytest.raises(UserError, match="holds 6 pictures of the test set market"):
        given_set(people, f"reid_folder={copy}", (text,), {})


def test_of_very_many_pictures_whole_identities_are_taken(people, market, monkeypatch):
    monkeypatch.setattr(calibration_set, "MOST", 10)
    all_of_it = given_set(people, f"reid_folder={market}", (), {}).images
    monkeypatch.setattr(calibration_set, "MOST", 100)
    everyone = given_set(people, f"reid_folder={market}", (), {}).images
    assert 0 < len(all_of_it) <= 10 < len(everyone)
    for person in names(all_of_it):
        assert np.sum(all_of_it.identities == person) == np.sum(everyone.identities == person)
