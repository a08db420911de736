"""What a network looked at, and what distances are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_families import every_family, spec_of
from toy import SIZE, toy_spec, toy_variables

from dpeformer_jax import Extractor
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.explanation.attention import with_attention
from dpeformer_jax.explanation.contributions import contributions
from dpeformer_jax.explanation.explain import explain
from dpeformer_jax.features import SELECTED, joined_by_concat
from dpeformer_jax.model import attention
from dpeformer_jax.model.families import build_network
from dpeformer_jax.retrieval.distances import exact, targets_of


def pictures(count=3, seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, 90, 40, 3), np.uint8))


def extractor_of(spec):
    return Extractor(toy_variables(spec), spec)


@every_family
def test_attention_is_that_of_the_networks_own_blocks(family, monkeypatch):
    """Against weights in float64 from what each block gives its attention program."""
    spec = spec_of(family)
    network, variables = build_network(spec), toy_variables(spec)
    images = np.random.default_rng(1).uniform(-1, 1, (2, *SIZE, 3)).astype(np.float32)
    rows = jnp.zeros(2, jnp.int32)
    _, found = with_attention(network, variables, images, rows)
    seen = []

    def plain(qkv, heads):
        parts = np.asarray(qkv, np.float64).reshape(*qkv.shape[:2], 3, heads, -1)
        seen.append([parts[:, :, 0], parts[:, :, 1]])
        return attention.plain(qkv, heads)

    monkeypatch.setitem(attention.ATTENTIONS, "xla", plain)
    network.apply(variables, images, rows)
    tokens = seen[0][0].shape[1]
    whole = [pair for pair in seen if pair[0].shape[:2] == (2, tokens)]
    shares = []
    for query, key in whole:
        logits = np.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(query.shape[-1])
        shares.append(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    patches = np.prod(spec.grid)
    np.testing.assert_allclose(found.last, shares[-1][:, :, 0, -patches:], rtol=1e-4, atol=1e-7)
    rolled = np.eye(tokens)
    for share in shares:
        rolled = (0.5 * share.mean(1) + 0.5 * np.eye(tokens)) @ rolled
    np.testing.assert_allclose(found.rollout, rolled[:, 0, -patches:], rtol=1e-4, atol=1e-7)


def test_the_first_patch_is_followed_where_it_is_the_global_token():
    spec = spec_of("dpeformer", global_token="first_patch")
    network, variables = build_network(spec), toy_variables(spec)
    images = np.random.default_rng(1).uniform(-1, 1, (1, *SIZE, 3)).astype(np.float32)
    _, found = with_attention(network, variables, images, None)
    assert found.rollout[0, 0] > 0.25  # half of itself, twice


@every_family
def test_explained_are_the_networks_own_features_and_patches(family):
    extractor = extractor_of(spec_of(family))
    shown = pictures()
    expected = extractor(shown, unit_length=True)
    for place, found in enumerate(explain(extractor, shown)):
        for name, feature in found.features.items():
            np.testing.assert_allclose(feature, expected[name][place], atol=1e-6)
        if family == "dpeformer":
            np.testing.assert_array_equal(found.choice.kept, expected[SELECTED][place])
        else:
            assert found.choice is None


@pytest.mark.parametrize("rule", ["released", "above"])
@pytest.mark.parametrize("bands", ["similarity", "raster", "stripes"])
def test_a_choice_tells_its_gap_and_its_parts(rule, bands):
    extractor = extractor_of(toy_spec((128, 64), min_patches=4, count=rule, bands=bands))
    for found in explain(extractor, pictures()):
        choice = found.choice
        drops = -np.diff(choice.falling)
        assert drops[choice.gap - 1] == drops.max()
        assert choice.count == max(choice.gap - (rule == "released"), 4)
        assert choice.similarity[choice.rank == 0] == choice.falling[0]
        assert choice.parts.shape == (4, 32) and not choice.parts[:, ~choice.kept].any()
        np.testing.assert_allclose(choice.parts.sum(1), 1, rtol=1e-6)


def test_a_network_that_takes_every_patch_makes_no_choice():
    (found,) = explain(extractor_of(toy_spec(selection="all")), pictures(1))
    assert found.choice is None


@every_family
def test_contributions_add_up_to_the_distance_of_a_ranking(family):
    spec = spec_of(family)
    network = build_network(spec)
    one, other = (found.features for found in explain(extractor_of(spec), pictures(2)))
    rows = np.zeros(1, int)
    for target, members in targets_of(network_features(spec)).items():
        told = contributions(network, members, one, other)
        sides = [[side[m][None] for m in members] for side in (one, other)]
        np.testing.assert_allclose(sum(told.values()), exact(*sides, rows, rows)[0], rtol=1e-12)
        both = float(np.sum((one[target].astype(float) - other[target]) ** 2))
        np.testing.assert_allclose(sum(told.values()), both, rtol=1e-5)
    assert len(told) == (8 if family == "dpeformer" else len(network.pieces("after")))


def network_features(spec):
    shapes = jax.eval_shape(build_network(spec).apply, toy_variables(spec), np.zeros((1, *SIZE, 3)))
    assert not joined_by_concat(shapes.features) or spec.family == "dpeformer"
    return list(shapes.features)


def test_each_piece_holds_what_the_network_puts_there():
    """A change of one part's norm moves that piece of the distance alone."""
    spec = spec_of("dpeformer")
    network, variables = build_network(spec), toy_variables(spec)
    image = np.random.default_rng(3).uniform(-1, 1, (1, *SIZE, 3)).astype(np.float32)
    one = network.apply(variables, image).features
    variables["params"]["part_norm"]["scale"][2] *= 3
    other = network.apply(variables, image).features
    first, second = ({n: x[0] for n, x in side.items()} for side in (one, other))
    told = contributions(network, ("holistic", "parts"), first, second)
    assert [name for name, value in told.items() if value] == ["part 3"]


def test_a_network_with_cameras_asks_for_them():
    with pytest.raises(UserError, match="camera_rows"):
        explain(extractor_of(toy_spec(sie_rows=2)), pictures(1))
    (found,) = explain(extractor_of(toy_spec(sie_rows=2)), pictures(1), [1])
    (other,) = explain(extractor_of(toy_spec(sie_rows=2)), pictures(1), [0])
    assert not np.array_equal(found.features["holistic"], other.features["holistic"])


def test_features_have_length_1():
    (found,) = explain(extractor_of(toy_spec()), pictures(1))
    assert {*found.features} == {"holistic", "parts", "concat"}
    assert all(abs(np.linalg.norm(x) - 1) < 1e-5 for x in found.features.values())
