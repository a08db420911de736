"""Query pictures in the gallery: reported, and dropped on request."""

import numpy as np
import pytest
from test_evaluate import scored
from toy import ToyImages, toy_spec

from dpeformer_jax.base.interfaces import TestSet


def with_copies(count, other_camera=False):
    """A test set whose gallery starts with some of the query's pictures."""
    query, gallery = ToyImages(seed=1), ToyImages(seed=2)
    gallery.pixels = np.concatenate([query.pixels[:count], gallery.pixels[count:]])
    gallery.digests = [*query.digests[:count], *gallery.digests[count:]]
    if other_camera:
        gallery.cameras = np.where(np.arange(24) < count, 9, gallery.cameras)
    return TestSet("toy", query, gallery)


def without(test, count):
    kept = ToyImages(seed=2)
    for name in ("pixels", "digests", "identities", "cameras", "camera_rows", "paths"):
        setattr(kept, name, getattr(test.gallery, name)[count:])
    kept.identity_names = kept.identity_names[count:]
    return TestSet("toy", test.query, kept)


@pytest.mark.slow
def test_dropped_ones_leave_no_trace():
    test = with_copies(3, other_camera=True)
    options = {"single_shot": 2, "expand": 2, "rerank": {"k1": 5, "k2": 3, "weight": 0.3}}
    (dropped,) = scored(toy_spec(), [test], drop_duplicates=True, **options)["datasets"].values()
    (clean,) = scored(toy_spec(), [without(test, 3)], **options)["datasets"].values()
    assert (dropped.pop("duplicates"), clean.pop("duplicates")) == (3, 0)
    single = [
        of.pop("single_shot")
        for of in dropped.values()
        if isinstance(of, dict) and "single_shot" in of
    ]
    assert len(single) == 3
    for of in clean.values():
        if isinstance(of, dict):
            of.pop("single_shot", None)  # other draws
    assert dropped == clean


@pytest.mark.parametrize(
    ("count", "other_camera", "scoring", "warned"),
    [
        (0, False, {}, False),
        (3, False, {}, False),  # the camera rule hides them
        (3, True, {}, True),
        (3, False, {"camera_rule": False}, True),
        (3, False, {"expand": 2}, True),
        (3, True, {"drop_duplicates": True}, False),
    ],
)
@pytest.mark.slow
def test_a_warning_where_they_change_scores(caplog, count, other_camera, scoring, warned):
    report = scored(toy_spec(), [with_copies(count, other_camera)], **scoring)
    assert report["datasets"]["toy"]["duplicates"] == count
    assert (f"{count} of the 24 gallery pictures are query pictures too" in caplog.text) == warned
