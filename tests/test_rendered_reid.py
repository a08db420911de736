"""Drawn people are split like Occluded-Duke, and each preparation gives the same bytes."""

import io
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from data.builder import SPLITS, prepare
from data.builders.rendered_reid import RenderedReid, _take, plan_shots
from data.dataset_spec import DataSettings
from data.records import Records

OCCLUDED_DUKE = {"train": (702, 15618), "query": (519, 2210), "gallery": (1110, 17661)}
SMALL = {"train": (96, 1536), "query": (48, 144), "gallery": (72, 576)}


def shots_of(name):
    config = RenderedReid.builder_configs[name]
    return {split: plan_shots(config, split) for split in SPLITS}


def identities(shots):
    return {shot.identity for shot in shots}


@pytest.fixture(scope="module", params=["small", "full"])
def shots(request):
    return shots_of(request.param)


@pytest.fixture(scope="module")
def full():
    return shots_of("full")


@pytest.fixture(scope="module")
def drawn(drawn_config, drawn_dir):
    """Returns the records of each prepared split."""
    builder = prepare(RenderedReid, str(drawn_dir), config=drawn_config)
    return {split: Records(builder, split) for split in SPLITS}


@pytest.mark.parametrize(("name", "counts"), [("full", OCCLUDED_DUKE), ("small", SMALL)])
def test_the_splits_have_the_promised_counts(name, counts):
    shots = shots_of(name)
    assert {s: (len(identities(shots[s])), len(shots[s])) for s in SPLITS} == counts


def test_test_people_are_not_in_training(shots):
    assert not identities(shots["train"]) & identities(shots["query"] + shots["gallery"])


def test_the_gallery_has_all_query_people_and_distractors(full):
    assert identities(full["query"]) < identities(full["gallery"])
    assert len(identities(full["gallery"]) - identities(full["query"])) == 1110 - 519


def test_images_are_shared_out_evenly(shots):
    for split in SPLITS:
        images = Counter(shot.identity for shot in shots[split])
        assert max(images.values()) - min(images.values()) <= 1


def test_every_query_is_occluded(shots):
    assert all(shot.occluded for shot in shots["query"])


@pytest.mark.parametrize("split", ["train", "gallery"])
def test_about_a_tenth_of_the_others_is_occluded(full, split):
    assert np.mean([shot.occluded for shot in full[split]]) == pytest.approx(0.1, abs=0.01)


def test_every_query_has_a_gallery_image_from_another_camera(shots):
    seen = {}
    for shot in shots["gallery"]:
        seen.setdefault(shot.identity, set()).add(shot.camera)
    assert all(seen[shot.identity] - {shot.camera} for shot in shots["query"])


def test_every_training_person_is_seen_by_all_eight_cameras(shots):
    seen = {}
    for shot in shots["train"]:
        seen.setdefault(shot.identity, set()).add(shot.camera)
    assert all(cameras == set(range(8)) for cameras in seen.values())


def test_no_frame_and_no_path_is_used_twice(full):
    taken = sum(full.values(), [])
    assert len({shot.frame for shot in taken}) == len({shot.name for shot in taken}) == len(taken)


def test_paths_are_named_as_in_market(full):
    pattern = DataSettings().pattern
    for shot in full["gallery"]:
        found = re.match(pattern, shot.name)
        assert (int(found[1]), int(found[2])) == (shot.identity, shot.camera + 1)


@pytest.mark.parametrize("split", SPLITS)
def test_records_are_the_planned_shots(drawn, drawn_config, split):
    planned = plan_shots(drawn_config, split)
    assert drawn[split].paths == [shot.name for shot in planned]
    assert drawn[split].identities.tolist() == [shot.identity for shot in planned]
    assert drawn[split].cameras.tolist() == [shot.camera for shot in planned]


def test_pictures_are_jpegs_of_256_by_128_pixels_and_all_different(drawn):
    files = [records.encoded(i) for records in drawn.values() for i in range(len(records))]
    assert len(set(files)) == len(files) == 16 + 4 + 12
    for file in files:
        with Image.open(io.BytesIO(file)) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (128, 256))


def test_a_query_picture_is_taken_with_its_occluder(drawn, drawn_config):
    shot = plan_shots(drawn_config, "query")[0]
    assert drawn["query"].encoded(0) == _take(drawn_config.seed, shot)
    assert drawn["query"].encoded(0) != _take(drawn_config.seed, shot._replace(occluded=False))


def test_prepared_again_elsewhere_the_bytes_are_the_same(drawn, drawn_config, tmp_path):
    again = prepare(RenderedReid, str(tmp_path), config=drawn_config)
    for split, records in drawn.items():
        others = Records(again, split)
        assert [records.encoded(i) for i in range(len(records))] == [
            others.encoded(i) for i in range(len(others))
        ]
