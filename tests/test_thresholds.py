"""A threshold keeps its false-accept rate; tests/test_calibrate.py looks at what is told of it."""

import numpy as np
import pytest

from dpeformer_jax.retrieval.thresholds import threshold_of

NEAREST = np.array([0.1, 0.2, 0.3, 0.3, 0.3, 0.7])


@pytest.mark.parametrize(
    ("allowed", "expected"), [(0, None), (1, 0.15), (2, 0.25), (3, 0.25), (5, 0.5), (6, None)]
)
def test_a_threshold_accepts_at_most_what_is_allowed(allowed, expected):
    assert threshold_of(NEAREST, allowed) == pytest.approx(expected)


def test_equal_distances_are_accepted_together_or_not_at_all():
    assert threshold_of(np.zeros(5), 3) is None
