"""Alpha query expansion against its definition in plain NumPy."""

import numpy as np
import plain_scores
import pytest

from dpeformer_jax.features import CONCAT, at_unit_length
from dpeformer_jax.retrieval.expansion import expand
from dpeformer_jax.retrieval.shares import Share


def plainly(query, gallery, neighbours, alpha):
    """Of one matrix each, at length 1."""
    similarity = np.asarray(query, float) @ gallery.T.astype(float)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours]
    weights = np.maximum(np.take_along_axis(similarity, nearest, axis=1), 0) ** alpha
    joined = query + np.einsum("qk,qkf->qf", weights, gallery[nearest])
    return joined / np.linalg.norm(joined, axis=1, keepdims=True)


@pytest.mark.parametrize("alpha", [0, 1, 3])
@pytest.mark.parametrize("neighbours", [1, 5])
def test_a_feature_equals_the_definition(alpha, neighbours):
    query, gallery, *_ = plain_scores.crowd()
    one, all_images = {"parts": query["parts"]}, {"parts": gallery["parts"]}
    found = expand(one, Share.of_all(all_images), neighbours, alpha)["parts"]
    expected = plainly(query["parts"], gallery["parts"], neighbours, alpha)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_several_features_are_expanded_as_their_concatenation():
    query, gallery, *_ = plain_scores.crowd()
    found = expand(query, Share.of_all(gallery), 4, 3.0)
    sides = (at_unit_length(side)[CONCAT] for side in (query, gallery))
    whole = np.concatenate([*found.values()], axis=1) / np.sqrt(2)
    np.testing.assert_allclose(whole, plainly(*sides, 4, 3.0), atol=1e-6)


def test_more_neighbours_than_images():
    query, gallery, *_ = plain_scores.crowd(images=3)
    found = expand(query, Share.of_all(gallery), 9, 1.0)
    np.testing.assert_allclose(
        found["parts"], expand(query, Share.of_all(gallery), 3, 1.0)["parts"]
    )


def test_a_process_without_gallery_images_leaves_queries_as_they_are():
    """It must reach the sum over the processes, in which the others wait for it."""
    query, gallery, *_ = plain_scores.crowd(images=3)
    found = expand(query, Share.of_all(gallery).only(np.zeros(0, int)), 2, 3.0)
    for name, features in found.items():
        np.testing.assert_allclose(features, query[name], atol=1e-6)
