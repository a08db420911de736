"""What the families make of the backbone's tokens, against plain numpy."""

import numpy as np
import pytest
from toy import toy_spec, toy_variables

from dpeformer_jax.model.families import build_network
from dpeformer_jax.model.transreid import LOCAL, SHIFT, jigsaw

NANO = {"variant": "pass_nano8", "stride": 8, "family": "pass"}


def normalised(x, neck, part=0):
    """The neck of one part in evaluation, as torch's BatchNorm computes it."""
    params, stats = neck
    scale, bias = params["scale"][part], stats["bias"][part]
    return (x - stats["mean"][part]) / np.sqrt(stats["var"][part] + 1e-5) * scale + bias


def neck_of(variables, name="neck"):
    return variables["params"][name], variables["batch_stats"][name]


@pytest.mark.parametrize("patches", [16, 17, 21 * 10])
def test_groups_take_every_other_patch_of_the_two_shifted_halves(patches):
    tokens = np.arange(1 + patches, dtype=np.float32)[None, :, None]
    shifted = [*range(1 + SHIFT, 1 + patches), *range(1, 1 + SHIFT)]
    if patches % 2:
        shifted.append(shifted[-2])
    half = len(shifted) // 2
    mixed = [place for pair in zip(shifted[:half], shifted[half:], strict=True) for place in pair]
    size = patches // LOCAL
    expected = [[0, *mixed[i * size : (i + 1) * size]] for i in range(LOCAL)]
    np.testing.assert_array_equal(np.asarray(jigsaw(tokens, 1))[0, :, :, 0], expected)


@pytest.mark.parametrize("fusion", ["cat", "mean"])
@pytest.mark.parametrize("necks", [False, True])
def test_pass_fuses_the_class_token_with_the_mean_of_the_part_tokens(fusion, necks):
    spec = toy_spec(fusion=fusion, token_necks=necks, **NANO)
    network, variables = build_network(spec), toy_variables(spec)
    tokens = np.random.default_rng(0).standard_normal((3, 4, 64)).astype(np.float32)

    def fused(tokens):
        both = tokens[:, 0], tokens[:, 1:].mean(axis=1)
        return np.concatenate(both, axis=1) if fusion == "cat" else (both[0] + both[1]) / 2

    found = network.apply(variables, tokens, train=False, method="heads").features
    neck = neck_of(variables)
    if necks:
        each = [normalised(tokens[:, i], neck, i) for i in range(4)]
        after = fused(np.stack(each, axis=1))
    else:
        after = normalised(fused(tokens), neck)
    np.testing.assert_allclose(found["before"], fused(tokens), atol=1e-5)
    np.testing.assert_allclose(found["after"], after, atol=1e-4)


def test_local_features_of_transreid_count_for_a_quarter_each():
    spec = toy_spec(family="transreid")
    network, variables = build_network(spec), toy_variables(spec)
    rng = np.random.default_rng(1)
    token = rng.standard_normal((3, 32)).astype(np.float32)
    local = rng.standard_normal((3, LOCAL, 32)).astype(np.float32)
    found = network.apply(variables, (token, local), train=False, method="heads").features
    before = np.concatenate([token, *(local[:, i] / 4 for i in range(LOCAL))], axis=1)
    of_local = neck_of(variables, "local_neck")
    necks = [normalised(local[:, i], of_local, i) / 4 for i in range(LOCAL)]
    after = np.concatenate([normalised(token, neck_of(variables)), *necks], axis=1)
    np.testing.assert_allclose(found["before"], before, atol=1e-5)
    np.testing.assert_allclose(found["after"], after, atol=1e-4)
