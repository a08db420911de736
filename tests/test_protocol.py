"""Who counts in a ranking."""

import numpy as np
import plain_scores
import pytest

from dpeformer_jax.retrieval.protocol import Labels, is_impostor, matches


@pytest.mark.parametrize("camera_rule", [True, False])
def test_matches_are_the_pairs_of_one_identity(camera_rule):
    *_, query, gallery = plain_scores.crowd()
    found = matches(query, gallery, camera_rule)
    same = (query.identities[:, None] == gallery.identities) & (query.identities != -1)[:, None]
    if camera_rule:
        same &= query.cameras[:, None] != gallery.cameras
    assert list(zip(*found, strict=True)) == list(zip(*np.nonzero(same), strict=True))


def test_junk_is_neither_match_nor_impostor():
    gallery = np.array([-1, 0, 7, 7])
    assert is_impostor(7, gallery).tolist() == [False, True, False, False]
    assert not is_impostor(-1, gallery).any()


def test_labels_of_some_images():
    labels = Labels(np.array([3, 1, 2]), np.array([0, 1, 0]))
    assert labels.at(np.array([2, 0])).identities.tolist() == [2, 3]
    assert labels.without(np.array([1])).identities.tolist() == [3, -1, 2]
    assert labels.identities.tolist() == [3, 1, 2]
