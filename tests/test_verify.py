"""--mode=verify_data finds what is wrong with a data set, and says what is merely worth knowing."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from data.dataset import load_dataset
from data.pipeline import Sampling
from data.verify import NO_IMAGE, SAME_CAMERA, as_text
from data.verify import verify as verify_in_batches
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.retrieval.metrics import Labels, score

ROOT = Path(__file__).parents[1]


def verify(settings, tests):
    return verify_in_batches(settings, tests, Sampling(2, 2, seed=0))


def of_one(settings, tests=()):
    """The report of a single data set."""
    (report,) = verify(settings, tests)["datasets"]
    return report


def test_a_sound_folder_has_no_problem(settings):
    report = verify(settings, ())
    assert report["problems"] == []
    assert as_text(report).endswith("no problem found")


def test_counts_and_spreads_are_those_of_the_files(settings):
    report = of_one(settings)
    assert report["found"]["train"] == {"identities": 3, "images": 9, "cameras": 2}
    assert report["found"]["gallery"] == {"identities": 4, "images": 5, "cameras": 4}
    train = report["splits"]["train"]
    assert train["images_per_identity"] == {"min": 2, "median": 3, "max": 4}
    assert train["height"] == {"min": 40, "median": 40, "max": 40}
    assert train["width"] == {"min": 20, "median": 20, "max": 20}


def test_queries_without_a_match_are_named_with_the_rule_that_left_them_none(
    settings, market, write_image
):
    write_image(market / "query" / "77_c1_0.jpg")
    write_image(market / "query" / "99_c7_5.jpg")
    queries = of_one(settings)["queries"]
    assert (queries["images"], queries["used"]) == (4, 2)
    assert queries["without_match"] == {
        "query/77_c1_0.jpg": NO_IMAGE,
        "query/99_c7_5.jpg": SAME_CAMERA,
    }


def test_the_protocol_and_the_report_agree_on_the_queries(settings, market, write_image):
    for name in ("77_c1_0.jpg", "99_c7_5.jpg", "20_c2_9.jpg"):
        write_image(market / "query" / name)
    test = load_dataset(settings, (), None).tests[0]
    splits = (test.query, test.gallery)
    features = [split.identities[:, None].astype(float) for split in splits]
    scores = score(*features, *(Labels(split.identities, split.cameras) for split in splits))
    assert of_one(settings)["queries"]["used"] == scores.queries_used == 3


def test_equal_files_are_found_within_and_across_splits(settings, market):
    train, query, gallery = (
        market / f for f in ("bounding_box_train", "query", "bounding_box_test")
    )
    shutil.copy(train / "2_c1_0.jpg", train / "2_c3_9.jpg")
    shutil.copy(query / "20_c1_0.jpg", gallery / "20_c1_0.jpg")
    report = of_one(settings)
    assert report["same_bytes_within"] == {
        "train": ["bounding_box_train/2_c3_9.jpg = bounding_box_train/2_c1_0.jpg"],
        "query": [],
        "gallery": [],
    }
    both = ["query/20_c1_0.jpg = bounding_box_test/20_c1_0.jpg"]
    assert report["same_bytes_across"]["query, gallery"] == both
    assert report["same_names_across"]["query, gallery"] == both
    assert verify(settings, ())["problems"] == []  # the camera rule hides them


def test_a_training_image_in_the_test_is_a_problem(settings, market):
    shutil.copy(
        market / "bounding_box_train" / "5_c1_0.jpg", market / "bounding_box_test" / "20_c5_5.jpg"
    )
    (problem,) = verify(settings, ())["problems"]
    assert "1 images of market's gallery are byte for byte in the training split" in problem


def test_a_training_identity_in_the_test_is_a_problem(settings, market, write_image):
    write_image(market / "bounding_box_test" / "5_c9_0.jpg")
    report = verify(settings, ())
    assert report["datasets"][0]["training_identities_in_test"] == [5]
    assert report["problems"] == ["market: 1 identities are in training and in test: 5"]


def test_identities_of_one_camera_are_counted_over_query_and_gallery(settings, market, write_image):
    for name in ("8_c3_0.jpg", "8_c3_1.jpg"):
        write_image(market / "bounding_box_train" / name)
    assert of_one(settings)["one_camera"] == {"train": [8], "test": [0, 99]}


def test_unreadable_files_are_a_problem_and_are_listed(settings, market):
    (market / "query" / "20_c1_7.jpg").write_bytes(b"")
    report = verify(settings, ())
    assert report["datasets"][0]["unreadable"] == {"query/20_c1_7.jpg": "zero bytes"}
    assert report["problems"] == [
        "1 images of market cannot be used: query/20_c1_7.jpg (zero bytes). Mend or remove them, "
        "or leave them out by config.data.on_bad_image = 'skip'"
    ]
    assert verify(replace(settings, on_bad_image="skip"), ())["problems"] == []
    assert "  query/20_c1_7.jpg: zero bytes" in as_text(report)


@pytest.mark.parametrize("allowed", [False, True])
def test_other_counts_are_a_problem_unless_they_are_allowed(
    settings, tmp_path, write_image, allowed
):
    for folder in ("partial_body_images", "whole_body_images"):
        write_image(tmp_path / "partial" / folder / "001_001.jpg")
    partial = {"builder": "partial_reid", "root": str(tmp_path / "partial")}
    report = verify(replace(settings, **partial, allow_other_counts=allowed), ())
    assert "gallery: 1 images (300 published)" in report["datasets"][0]["other_counts"]
    assert any("published" in problem for problem in report["problems"]) != allowed


def test_training_images_of_one_set_are_found_in_the_test_of_another(settings, market, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(market, other)
    train = market / "bounding_box_train"
    shutil.copy(train / "2_c1_0.jpg", other / "bounding_box_test" / "20_c9_0.jpg")
    problems = verify(settings, ["reid_folder=../other"])["problems"]
    assert (
        "1 images of other's gallery are byte for byte in the training split of market" in problems
    )


def test_joined_sets_with_the_same_pictures_are_a_problem(settings, market, tmp_path):
    shutil.copytree(market, tmp_path / "again")
    told = "9 images of again's train are byte for byte in the training split of market"
    assert told in verify(replace(settings, joined=("reid_folder=../again",)), ())["problems"]


def test_what_training_would_refuse_is_a_problem(settings, market):
    (market / "bounding_box_train" / "5_c1_0.jpg").unlink()
    (problem,) = verify(settings, ())["problems"]
    assert "1 training identities have fewer than two images: 5" in problem


def test_a_folder_that_cannot_be_read_at_all_is_an_error(settings):
    with pytest.raises(UserError, match="/no/such/folder"):
        verify(replace(settings, root="/no/such/folder"), ())


def test_a_turned_picture_has_the_sides_of_the_upright_one(settings, market):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (50, 30)).save(market / "query" / "20_c1_0.jpg", exif=exif)
    query = of_one(settings)["splits"]["query"]
    assert (query["width"]["max"], query["height"]["max"]) == (30, 50)


def test_a_folder_without_training_images_is_examined(settings, market):
    shutil.rmtree(market / "bounding_box_train")
    report = verify(settings, ())
    assert list(report["datasets"][0]["splits"]) == ["query", "gallery"]
    assert report["problems"] == []
    assert as_text(report).endswith("no problem found")


@pytest.fixture
def told(shared_data, tmp_path):
    """What the command line reports of a real data set, as JSON and exit code."""
    root = shared_data / "pku_reid"
    if not root.is_dir():
        pytest.skip(f"{root} is not a folder")
    command = [
        *(sys.executable, "main.py", "--mode=verify_data", "--json", "--config=configs/folder.py"),
        *(f"--config.data.root={root.resolve()}", f"--config.data.data_dir={tmp_path}"),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_real_pictures_are_counted(told):
    (report,) = told["datasets"]
    assert [tuple(counts.values()) for counts in report["found"].values()] == [
        (44, 704, 2),
        (30, 120, 2),
        (30, 360, 2),
    ]
    assert report["queries"]["used"] == 120 and not report["unreadable"]
