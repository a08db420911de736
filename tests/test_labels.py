"""Labels are whole numbers, or texts that are numbered; the texts are kept."""

import pytest

from data.labels import Names, is_junk, is_whole_number, numbered, plain, shown


@pytest.mark.parametrize("texts", [["17", "0003", "-1", "+5", "0"], []])
def test_whole_numbers_are_themselves(texts):
    assert numbered(texts) == ([int(text) for text in texts], {})


@pytest.mark.parametrize("text", ["1_2", "1.0", "", "-", "3-1", "²", "12345678901234567890", " 1"])
def test_what_int_reads_but_nobody_means_is_a_text(text):
    assert not is_whole_number(text)
    assert numbered(["7", text]) == (
        [1 + ("7" > text), 1 + ("7" < text)],
        dict(enumerate(sorted(["7", text]), start=1)),
    )


def test_texts_are_numbered_from_1_in_sorted_order():
    numbers, names = numbered(["zoe", "anna", "7", "zoe"])
    assert numbers == [3, 2, 1, 3]
    assert shown(numbers, names) == ["zoe", "anna", "7", "zoe"]
    assert shown([5], {}) == [5]


def test_one_number_written_in_two_ways_is_one_label_beside_texts_too():
    numbers, texts = numbered(["0017", "zoe", "17", "0003"])
    assert numbers == [2, 3, 2, 1]
    assert texts == {1: "0003", 2: "17", 3: "zoe"}
    assert list(map(plain, ("0017", "+17", "017a", "-01"))) == ["17", "17", "017a", "-1"]


def test_names_come_back_from_the_metadata_of_a_copy():
    names = Names({1: "anna"}, {1: "north", 2: "south"})
    assert Names.of_metadata(names.as_metadata() | {"skipped": {}}) == names
    assert Names().as_metadata() == {} and Names.of_metadata({"skipped": {}}) == Names()


def test_junk_is_junk_however_it_is_written():
    assert is_junk("-1") and is_junk("-01") and not is_junk("1") and not is_junk("junk")
