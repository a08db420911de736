"""A data set is named by BUILDER, BUILDER/VARIANT, and =FOLDER where it is not the root."""

from pathlib import Path

import pytest

from data.dataset_spec import DatasetSpec, parse_spec
from dpeformer_jax.base.errors import UserError

FIELD = "config.eval.datasets"


def parsed(spec, root="/sets/main", builder="cuhk03_np", variant="labeled"):
    return parse_spec(spec, FIELD, DatasetSpec(builder, variant, root, "p"))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("market1501", ("market1501", "", "/sets/main")),
        ("msmt17/v2", ("msmt17", "v2", "/sets/main")),
        ("market1501=/other/market", ("market1501", "", "/other/market")),
        ("cuhk03_np/labeled=more", ("cuhk03_np", "labeled", "/sets/main/more")),
        ("reid_folder=a=b", ("reid_folder", "", "/sets/main/a=b")),
        (" partial_reid = more ", ("partial_reid", "", "/sets/main/more")),
    ],
)
def test_a_text_names_builder_variant_and_folder(spec, expected):
    assert parsed(spec) == DatasetSpec(*expected, "p")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (r"reid_folder;pattern=(\d+)-(\d+)", ("", "/sets/main", r"(\d+)-(\d+)")),
        ("reid_folder=../b;pattern=(?P<identity>.)=", ("", "/sets/main/../b", "(?P<identity>.)=")),
        ("reid_folder=/b ;pattern= ;pattern=", ("", "/b", " ;pattern=")),
        ("reid_folder=/b", ("", "/b", "p")),
    ],
)
def test_a_set_may_have_a_pattern_of_its_own(spec, expected):
    assert parsed(spec) == DatasetSpec("reid_folder", *expected)


def test_a_pattern_for_a_builder_that_reads_no_names_is_an_error():
    with pytest.raises(UserError, match="only reid_folder reads names by a pattern"):
        parsed("market1501;pattern=x")


def test_how_people_are_divided_is_that_of_the_config():
    own = DatasetSpec("reid_folder", root="/sets/main", split_seed=3, test_share=0.2)
    for spec in ("reid_folder=../b", "reid_csv"):
        divided = parse_spec(spec, FIELD, own)
        assert (divided.split_seed, divided.test_share) == (3, 0.2)


def test_a_folder_is_taken_from_the_root(tmp_path):
    spec = parsed("occluded_reid=../Occluded_REID", root=str(tmp_path / "market"))
    (tmp_path / "market").mkdir()
    (tmp_path / "Occluded_REID").mkdir()
    assert spec.folder.samefile(tmp_path / "Occluded_REID")


def test_the_own_variant_is_that_of_the_same_builder_in_the_same_folder():
    assert parsed("cuhk03_np").variant == "labeled"
    assert parsed("cuhk03_np/detected").variant == "detected"
    assert parsed("cuhk03_np=/other").variant == ""
    assert parsed("market1501").variant == ""


def test_a_folder_is_taken_from_the_folder_of_a_table(tmp_path):
    (tmp_path / "mine.csv").touch()
    assert parsed("reid_csv=b.csv", root=str(tmp_path / "mine.csv")).folder == tmp_path / "b.csv"


def test_the_home_folder_is_known_as_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert parsed("market1501=~/market").folder == Path("/home/me/market")
    assert DatasetSpec("market1501", root="~/market").folder == Path("/home/me/market")


def test_a_folder_that_is_not_absolute_is_taken_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parsed("market1501=market", root="").folder == tmp_path / "market"


@pytest.mark.parametrize("spec", ["", "=folder", "/v2", " "])
def test_a_text_without_a_builder_is_an_error(spec):
    with pytest.raises(UserError, match=f"{FIELD}: '{spec}' must read BUILDER"):
        parsed(spec)


def test_no_root_is_an_error_that_names_the_field():
    with pytest.raises(UserError, match="config.data.root is empty: market1501 needs"):
        parsed("market1501", root="").folder  # noqa: B018
