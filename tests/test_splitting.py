"""People are divided by identity: disjoint, seeded, and every query has a match."""

import random
from pathlib import Path

import pytest

from data.labels import shown
from data.listing import Entry
from data.splitting import held_out_identities, rule_of, split_by_identity, split_test
from dpeformer_jax.base.errors import UserError


def pictures(people, cameras=3, each=4):
    """So many pictures of each person from each camera; people and cameras count from 1."""
    return [
        Entry(Path("/"), f"{person}/cam{camera}_{frame}.png", person, camera)
        for person in range(1, people + 1)
        for camera in range(1, cameras + 1)
        for frame in range(each)
    ]


def split(entries, texts=None, seed=0, share=0.5, cameras=True):
    return split_by_identity(entries, texts or {}, seed, share, cameras)


def people_of(entries):
    return {entry.identity for entry in entries}


def test_training_and_test_share_no_one_and_query_and_gallery_no_picture():
    entries = pictures(30)
    train, query, gallery = split(entries).values()
    assert len(people_of(train)) == len(people_of(query + gallery)) == 15
    assert not people_of(train) & people_of(query + gallery)
    assert not {entry.name for entry in query} & {entry.name for entry in gallery}
    assert {entry.name for entry in train + query + gallery} == {e.name for e in entries}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.75])
def test_the_share_of_people_is_tested(share):
    assert len(people_of(split(pictures(40), share=share)["query"])) == round(share * 40)


def test_the_order_and_the_place_of_files_say_nothing():
    entries = pictures(20)
    moved = [entry._replace(path=Path("/elsewhere") / entry.name) for entry in entries]
    random.Random(0).shuffle(moved)
    names = [
        [sorted(entry.name for entry in part) for part in split(of).values()]
        for of in (entries, moved)
    ]
    assert names[0] == names[1]


def test_another_seed_gives_other_people_and_other_queries():
    entries = pictures(20)
    splits = [split(entries, seed=seed) for seed in (0, 1)]
    assert people_of(splits[0]["train"]) != people_of(splits[1]["train"])
    queries = [split_test(entries, seed, cameras=True)["query"] for seed in (0, 1)]
    assert queries[0] != queries[1]


def test_another_person_moves_at_most_one():
    """By name, for the number of a text changes with the texts before it."""
    before, after = ({i: f"p{i + more:03d}" for i in range(1, 42)} for more in (1, 0))
    trained = [
        set(shown(people_of(split(pictures(n), names)["train"]), names))
        for n, names in ((40, before), (41, after))
    ]
    assert len(trained[0] - trained[1]) <= 1


def test_a_first_text_beside_numbers_moves_at_most_one():
    texts = {i: f"{i:04d}" for i in range(1, 41)} | {41: "visitor"}
    before = people_of(split(pictures(40))["train"])
    after = people_of(split(pictures(41), texts)["train"])
    assert len(before - after) <= 1


def test_each_camera_with_two_pictures_of_a_person_gives_one_query():
    entries = pictures(1, cameras=3, each=2) + [Entry(Path("/"), "1/cam9.png", 1, 9)]
    query = split_test(entries, 0, cameras=True)["query"]
    assert sorted(entry.camera for entry in query) == [1, 2, 3]


def test_one_picture_a_camera_gives_one_query():
    query, gallery = split_test(pictures(1, cameras=3, each=1), 0, cameras=True).values()
    assert (len(query), len(gallery)) == (1, 2)


def test_a_person_of_one_camera_is_in_the_gallery_alone():
    entries = pictures(2) + [Entry(Path("/"), f"9/{n}.png", 9, 1) for n in range(5)]
    query, gallery = split_test(entries, 0, cameras=True).values()
    assert 9 not in people_of(query)
    assert sum(entry.identity == 9 for entry in gallery) == 5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("each", [1, 2, 5])
def test_every_query_has_a_match_of_another_camera(each, seed):
    random.seed(seed)
    entries = [entry for entry in pictures(30, each=each) if random.random() < 0.7]
    query, gallery = split_test(entries, seed, cameras=True).values()
    seen = {(entry.identity, entry.camera) for entry in gallery}
    for entry in query:
        assert {(entry.identity, camera) for camera in (1, 2, 3) if camera != entry.camera} & seen


def test_without_cameras_one_picture_of_a_person_is_the_query():
    entries = pictures(20, cameras=1)
    train, query, gallery = split(entries, cameras=False).values()
    assert (len(query), len(gallery)) == (10, 30) and len(people_of(query)) == 10


@pytest.mark.parametrize("cameras", [True, False])
def test_a_person_with_one_picture_is_a_distractor(cameras):
    entries = [*pictures(10), Entry(Path("/"), "99/cam1.png", 99, 1)]
    train, query, gallery = split(entries, cameras=cameras).values()
    assert 99 in people_of(gallery) and 99 not in people_of(train + query)


@pytest.mark.parametrize(
    ("people", "share", "told"),
    [
        (3, 0.5, r"3 identities \(1, 2, 3\), of which 3 have two images or more"),
        (10, 0.1, "9 are left to train on, 1 to test on, and both need 2"),
        (10, 0.9, "1 are left to train on, 9 to test on"),
    ],
)
def test_too_few_people_are_an_error_with_the_numbers(people, share, told):
    with pytest.raises(UserError, match=told):
        split(pictures(people), share=share)


@pytest.mark.parametrize(
    ("cameras", "told"), [(True, "seen by two cameras"), (False, "two images")]
)
def test_no_possible_query_is_an_error(cameras, told):
    with pytest.raises(UserError, match=f"none of the 4 tested identities .* {told}"):
        split_test(pictures(4, cameras=1, each=1), 0, cameras)


def test_the_rule_is_one_sentence_with_seed_cameras_and_counts():
    splits = split(pictures(4), seed=7)
    assert rule_of(splits, 7, cameras=True) == (
        "split by identity with seed 7 (with cameras, a query is compared with images of other "
        "cameras): train 24 files of 2 identities, query 6 files of 2 identities, gallery 18 files "
        "of 2 identities"
    )
    assert "(without cameras, " in rule_of(splits, 7, cameras=False)


def test_people_are_held_out_by_a_hash_of_their_names():
    texts = {number: f"person {number}" for number in range(40)}
    held = held_out_identities(range(40), texts, 0, 0.25)
    assert len(held) == 10 and held == held_out_identities(reversed(range(40)), texts, 0, 0.25)
    assert held != held_out_identities(range(40), texts, 1, 0.25)
    renumbered = {number + 7: text for number, text in texts.items()}
    again = held_out_identities(renumbered, renumbered, 0, 0.25)
    assert [number - 7 for number in again] == held
    assert set(held) < set(held_out_identities(range(40), texts, 0, 0.5))
