"""Streamed pairs against all pairs at once."""

import numpy as np
import pytest

from dpeformer_jax.features import unit_length
from dpeformer_jax.retrieval import calibration_pairs
from dpeformer_jax.retrieval.calibration_pairs import BINS, People, measure

TARGETS = {"a": ("a",), "b": ("b",), "concat": ("a", "b")}
THRESHOLDS = {name: np.array([1.2, 1.7]) for name in TARGETS}


def drawn(total=60, people=9, seed=0):
    """Features of two names, and who they show."""
    rng = np.random.default_rng(seed)
    features = {
        name: unit_length(rng.normal(size=(total, width)).astype(np.float32))
        for name, width in (("a", 8), ("b", 12))
    }
    return features, People.of(10 * rng.integers(0, people, total), rng.integers(0, 3, total))


def of_all(first, second, people, members):
    """Genuine and impostor distances of all pairs, and the impostors' people, from whole arrays."""
    other = first if second is None else second
    distances = np.mean(
        [((first[n][:, None].astype(float) - other[n]) ** 2).sum(axis=2) for n in members], axis=0
    )
    total = len(distances)
    counted = (
        np.triu(np.ones((total, total), bool), 1) if second is None else ~np.eye(total, dtype=bool)
    )
    same = people.places[:, None] == people.places
    genuine = counted & same
    if people.cameras is not None:
        genuine &= people.cameras[:, None] != people.cameras
    row, column = np.nonzero(counted & ~same)
    return distances[genuine], distances[row, column], people.places[np.stack([row, column], 1)]


@pytest.mark.parametrize("cameras", [True, False])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("rows", [7, 256])
def test_the_pairs_are_those_of_all_distances(monkeypatch, rows, mixed, cameras):
    monkeypatch.setattr(calibration_pairs, "ROWS_AT_ONCE", rows)
    first, people = drawn()
    second = drawn(seed=1)[0] if mixed else None
    people = people if cameras else people._replace(cameras=None)
    found = measure(first, second, people, TARGETS, 0.1, THRESHOLDS)
    for name, members in TARGETS.items():
        genuine, impostor, who = of_all(first, second, people, members)
        pairs, order = found[name], np.argsort(impostor)
        kept = int(np.ceil(0.1 * len(impostor)))
        assert pairs.impostors == len(impostor) == pairs.histogram.sum()
        np.testing.assert_allclose(pairs.genuine, np.sort(genuine), atol=2e-6)
        np.testing.assert_allclose(pairs.nearest, impostor[order[:kept]], atol=2e-6)
        assert [set(p) for p in pairs.nearest_of.tolist()] == [set(p) for p in who[order[:kept]]]
        assert pairs.accepted.tolist() == [(impostor <= t).sum() for t in THRESHOLDS[name]]
        middle = np.searchsorted(pairs.histogram.cumsum(), len(impostor) / 2)
        assert np.median(impostor) == pytest.approx(4 * middle / BINS, abs=0.01)


def test_each_genuine_pair_is_of_its_person():
    first, people = drawn()
    pairs = measure(first, None, people, TARGETS, 0.1, THRESHOLDS)["a"]
    cameras = people.cameras
    for person in range(9):
        own = np.flatnonzero(people.places == person)
        expected = sum(cameras[i] != cameras[j] for i in own for j in own if i < j)
        assert (pairs.genuine_of == person).sum() == expected


def test_the_order_of_pictures_says_nothing():
    first, people = drawn()
    order = np.random.default_rng(3).permutation(60)
    moved = People(people.places[order], people.cameras[order])
    once, again = (
        measure(features, None, of, TARGETS, 0.1, THRESHOLDS)["concat"]
        for features, of in ((first, people), ({n: x[order] for n, x in first.items()}, moved))
    )
    np.testing.assert_allclose(once.nearest, again.nearest, atol=2e-6)
    np.testing.assert_allclose(once.genuine, again.genuine, atol=2e-6)
    assert np.abs(once.histogram - again.histogram).sum() <= 4  # at the edges of bins
