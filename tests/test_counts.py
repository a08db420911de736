"""Counts that are not the published ones are shown beside them, with the likely cause."""

import pytest

from data.builder import Counts
from data.catalog import BUILDERS, published_counts
from data.counts import count, differences, likely_cause, table
from data.listing import Entry

PUBLISHED = {
    "train": Counts(702, 15618, 8),
    "query": Counts(519, 2210),
    "gallery": Counts(1110, 17661, 8, certain=False),
}


def found(**changes):
    """The published counts with some changed."""
    counts = {split: Counts(c.identities, c.images, 8) for split, c in PUBLISHED.items()}
    return counts | {split: Counts(*values) for split, values in changes.items()}


def cause(**changes):
    return likely_cause(PUBLISHED, found(**changes), published_counts())


def test_identities_images_and_cameras_are_counted():
    rows = [(7, 1), (7, 2), (9, 1), (7, 2)]
    assert count([Entry("path", "name", *row) for row in rows]) == Counts(2, 4, 2)


def test_published_counts_that_are_found_make_no_difference():
    assert not list(differences(PUBLISHED, found()))


def test_each_other_count_is_a_difference():
    told = differences(PUBLISHED, found(train=(702, 15617, 7), gallery=(1109, 17661, 8)))
    assert [(d.split, d.column, d.expected, d.found, d.certain) for d in told] == [
        ("train", "images", 15618, 15617, True),
        ("train", "cameras", 8, 7, True),
        ("gallery", "identities", 1110, 1109, False),
    ]


def test_a_split_that_is_not_there_makes_no_difference():
    tested = {split: counts for split, counts in found().items() if split != "train"}
    assert not list(differences(PUBLISHED, tested))
    told = likely_cause(PUBLISHED, tested | {"query": Counts(519, 2000, 8)}, {})
    assert told.startswith("Files are missing (query)")


def test_the_test_splits_of_another_data_set_name_it():
    tested = {"query": Counts(702, 2228, 8), "gallery": Counts(1110, 17661, 8)}
    told = likely_cause(PUBLISHED, tested, published_counts())
    assert "These are the counts of dukemtmc_reid;" in told


def test_a_difference_from_an_uncertain_figure_says_so():
    sure, unsure = differences(PUBLISHED, found(train=(701, 15618, 8), gallery=(1110, 1, 8)))
    assert str(sure) == "train: 701 identities (702 published)"
    assert str(unsure) == "gallery: 1 images (17661 published, a figure without a known source)"


def test_the_table_has_expected_and_found_side_by_side():
    lines = table({"train": Counts(702, 15618)}, {"train": Counts(3, 9, 2), "query": Counts(2, 4)})
    assert [line.split() for line in lines.splitlines()] == [
        ["identities", "images", "cameras"],
        ["split", *["expected", "found"] * 3],
        ["train", "702", "3", "15618", "9", "-", "2"],
        ["query", "-", "2", "-", "4", "-", "-"],
    ]
    assert len({len(line) for line in lines.splitlines()}) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train": (702, 9000, 8)}, "Files are missing (train)"),
        ({"train": (1, 1, 8), "query": (1, 1, 8)}, "Files are missing (train, query)"),
        ({"query": (519, 2211, 8)}, "There are too many files (query)"),
        ({"query": (518, 2210, 8)}, "renamed files?"),
        ({"train": (702, 9000, 8), "query": (519, 3000, 8)}, "another version of the data set?"),
    ],
)
def test_the_likely_cause_follows_from_what_is_fewer_or_more(changes, told):
    assert told in cause(**changes)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("dukemtmc_reid", ((702, 16522, 8), (702, 2228, 8), (1110, 17661, 8))),
        ("market1501", ((751, 12936, 6), (750, 3368, 6), (751, 15913, 6))),
        ("cuhk03_np/labeled", ((767, 7368, 2), (700, 1400, 2), (700, 5328, 2))),
        ("msmt17/v1", ((1041, 32621, 15), (3060, 11659, 15), (3060, 82161, 15))),
    ],
)
def test_the_counts_of_another_data_set_name_it(name, counts):
    told = cause(**dict(zip(("train", "query", "gallery"), counts, strict=True)))
    assert f"These are the counts of {name};" in told


def test_published_counts_are_those_of_the_papers():
    """By title: identities, images and, where published, cameras of train, query and gallery."""
    duke, market = (1110, 17661, 8), ((751, 12936, 6), (750, 3368, 6))
    msmt17 = (3060, 11659, 15), (3060, 82161, 15)
    expected = {
        "market1501": (*market, (751, 15913, 6)),
        "market1501/500k": (*market, (751, 515913, 6)),
        "dukemtmc_reid": ((702, 16522, 8), (702, 2228, 8), duke),
        "occluded_duke": ((702, 15618, 8), (519, 2210, 8), duke),
        "occluded_reid": ((200, 1000, None), (200, 1000, None)),
        "partial_reid/partial": ((60, 300, None), (60, 300, None)),
        "partial_reid/occluded": ((60, 300, None), (60, 300, None)),
        "partial_ilids": ((119, 119, None), (119, 119, None)),
        "p_dukemtmc_reid": ((665, 12927, None), (634, 2163, None), (634, 9053, None)),
        "msmt17/v1": ((1041, 32621, 15), *msmt17),
        "msmt17/v2": ((1041, 32621, 15), *msmt17),
        "msmt17/v1_without_val": ((1041, 30248, 15), *msmt17),
        "msmt17/v2_without_val": ((1041, 30248, 15), *msmt17),
        "cuhk03_np/detected": ((767, 7365, 2), (700, 1400, None), (700, 5332, None)),
        "cuhk03_np/labeled": ((767, 7368, 2), (700, 1400, None), (700, 5328, None)),
    }
    found = {
        name: tuple(c[:3] for c in counts.values()) for name, counts in published_counts().items()
    }
    assert found == expected


def test_a_figure_without_a_source_is_not_certain():
    unsure = {
        (name, variant, split)
        for name, builder in BUILDERS.items()
        for variant, counts in builder.PUBLISHED.items()
        for split, figures in counts.items()
        if not figures.certain
    }
    splits = "train", "query", "gallery"
    assert unsure == {
        *(("p_dukemtmc_reid", "", split) for split in splits),
        *(("msmt17", v, split) for v in ("v2", "v2_without_val") for split in splits),
        ("msmt17", "v1_without_val", "train"),
    }
