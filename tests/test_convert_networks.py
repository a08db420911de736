"""Whole networks of other re-ID programs come in, are run, and go back. Real torch files."""

import argparse
import re

import numpy as np
import pytest
from converting import assert_equal, flat_params, random_state
from flax.traverse_util import flatten_dict
from toy import toy_spec, toy_weights

import convert_weights
from configs.quickstart import OF_FAMILY
from dpeformer_jax import Extractor
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.pretrained import start_from
from dpeformer_jax.checkpoint.weights import load_weights, save_weights
from dpeformer_jax.conversion import formats, mapping, recognition
from dpeformer_jax.model.families import shapes_of


def spec_of(*size, **fields):
    """Of a network whose file does not tell how few patches may be kept."""
    return toy_spec(*size, **{"min_patches": 24} | fields)


SPECS = {
    "dpeformer": toy_spec(sie_rows=2, min_patches=8),
    "baseline": spec_of((256, 128), family="baseline", stride=12, sie_rows=6),
    "baseline clip": spec_of(family="baseline", variant="clip_nano8", stride=8),
    "transreid": spec_of((256, 128), family="transreid", stride=12, sie_rows=6),
    "clipreid": spec_of(
        family="clipreid", variant="clip_nano8", stride=8, projection=24, sie_coefficient=1.0
    ),
    "pass": spec_of(family="pass", variant="pass_nano8", stride=8),
    "pass mean": spec_of(family="pass", variant="pass_nano8", stride=8, fusion="mean"),
    "pass necks": spec_of(family="pass", variant="pass_nano8", stride=8, token_necks=True),
}
OTHERS = {  # arrays that the programs' files have and no forward pass reaches
    "baseline": {"base.fc.weight": (1000, 32), "base.gem.p": (1,)},
    "transreid": {
        "base.fc.weight": (1000, 32),
        "base.norm.weight": (32,),
        "base.blocks.1.mlp.fc1.weight": (128, 32),
        "bottleneck_3.num_batches_tracked": (),
    },
    "clipreid": {
        "prompt_learner.cls_ctx": (5, 4, 512),
        "prompt_learner.token_prefix": (1, 5, 512),
        "text_encoder.transformer.resblocks.0.ln_1.weight": (512,),
        "bottleneck_proj.num_batches_tracked": (),
    },
    "pass": {"base.fc.weight": (1000, 64), "base.gem.p": (1,)},
}
every_network = pytest.mark.parametrize("name", SPECS)


def file_of(name, save):
    """A file as the program writes it, with all that it holds beside the network."""
    spec = SPECS[name]
    kind = formats.OF_FAMILY[spec.family]
    state = random_state(formats.table_of(kind, spec), spec)
    state |= {key: np.abs(x) + 0.1 for key, x in state.items() if key.endswith("running_var")}
    others = {key: np.ones(shape) for key, shape in OTHERS.get(spec.family, {}).items()}
    return kind, state, save(state | others)


@every_network
@pytest.mark.slow
def test_it_is_recognised_runs_and_goes_back_exactly(torch, save, convert, tmp_path, name):
    spec = SPECS[name]
    kind, state, source = file_of(name, save)
    told = convert(source, tmp_path / "ours")
    assert told.startswith(f"{kind}: {spec.variant}, images")
    for key in OTHERS.get(spec.family, {}):
        assert "unused: " + re.sub(r"\d+", "*", key) in told
    assert load_weights(tmp_path / "ours").spec == spec
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, *spec.image_size, 3))
    extractor = Extractor.load(tmp_path / "ours")
    rows = np.array([1, 0]) if spec.sie_rows else None
    found = extractor.features(pictures.astype(np.float32), camera_rows=rows)
    whole = spec.family == "dpeformer"
    names = ["concat", "holistic", "parts", "selected"] if whole else ["after", "before"]
    assert sorted(found) == names
    convert(tmp_path / "ours", tmp_path / "back.pth", "--to=torch")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert_equal({key: back[key].numpy() for key in state}, state)
    convert(tmp_path / "back.pth", tmp_path / "again")
    assert load_weights(tmp_path / "again").spec == spec
    assert_equal(flat_params(tmp_path / "again"), flat_params(tmp_path / "ours"))


def test_the_image_size_is_given_where_the_patches_fit_several(torch, save, convert, tmp_path):
    spec = spec_of((384, 192), family="baseline", stride=12)  # as many as 256x128 at stride 8
    source = save(random_state(formats.table_of("transreid", spec), spec))
    convert(source, tmp_path / "usual")
    found = load_weights(tmp_path / "usual").spec
    assert (found.image_size, found.stride, found.grid) == ((256, 128), 8, spec.grid)
    convert(source, tmp_path / "given", "--image-size=384x192")
    found = load_weights(tmp_path / "given").spec
    assert (found.image_size, found.stride) == ((384, 192), 12)
    told = convert(source, tmp_path / "out", "--image-size=300x100", code=2)
    assert "--image-size=300x100 gives the file's 465 patches at no stride" in told
    told = convert(tmp_path / "given", tmp_path / "x.pth", "--to=torch", "--image-size=4x2", code=2)
    assert "leave --image-size=4x2 out" in told


@pytest.mark.parametrize("wrong", ["384", "384x192x3", "0x16", "widexhigh"])
def test_an_image_size_of_another_form_is_refused(wrong):
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{wrong}' is no size in pixels"):
        convert_weights.image_size(wrong)


@pytest.mark.parametrize("family", ["dpeformer", "baseline", "transreid"])
def test_the_gelu_of_a_backbone_is_chosen_where_the_file_tells_of_none(family):
    spec = spec_of((256, 128), family=family, variant="clip_b16")
    kind = formats.OF_FAMILY[family]
    table = formats.table_of(kind, spec) + formats.copies_of(kind, spec)
    shapes = mapping.shapes_of_theirs(table, shapes_of(spec))
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    with pytest.raises(UserError, match=r"clip_b16 or openclip_b16, .*--variant"):
        recognition.spec_of(state, kind)
    assert recognition.spec_of(state, kind, "openclip_b16").variant == "openclip_b16"


@every_network
def test_its_backbone_is_timms(torch, timm, save, convert, tmp_path, name):
    _, _, source = file_of(name, save)
    assert "largest difference" in convert(source, tmp_path / "ours", "--verify")


@pytest.mark.parametrize("kind", formats.FORMATS)
def test_every_table_fills_the_network_and_is_its_own_inverse(kind):
    family = formats.FORMATS[kind].family
    rows = 2 if kind in formats.OF_FAMILY.values() else 0
    variant = OF_FAMILY.get(family, "mu")
    spec = toy_spec(family=family, variant=variant, sie_rows=rows)
    table, shapes = formats.table_of(kind, spec), shapes_of(spec)
    whole, last = kind in formats.OF_FAMILY.values(), ("params/backbone/", "params/last/")
    backbone = (*last, "params/projection/") if "clip" in kind else last
    expected = {path for path in shapes if whole or path.startswith(backbone)}
    assert {entry.path for entry in table} == expected
    state = random_state(table, spec)
    assert not any(mapping.compare(state, table, shapes, "-"))
    assert_equal(mapping.to_theirs(mapping.to_ours(state, table, shapes), table), state)


def test_the_factor_of_the_camera_embedding_is_the_published_one_or_given(
    torch, save, convert, tmp_path
):
    for name, published in (("baseline", 3.0), ("clipreid", 1.0)):
        source = file_of(name, save)[2]
        convert(source, tmp_path / name)
        assert load_weights(tmp_path / name).spec.sie_coefficient == published
    told = convert(source, tmp_path / "out", "--sie-coefficient=2", code=2)
    assert "embeds no cameras" in told
    convert(file_of("baseline", save)[2], tmp_path / "given", "--sie-coefficient=1.5")
    assert load_weights(tmp_path / "given").spec.sie_coefficient == 1.5


def test_a_network_is_not_written_with_names_that_it_has_no_room_in(torch, convert, tmp_path):
    save_weights(tmp_path / "ours", toy_weights(family="transreid"))
    for kind in ("dpeformer", "clipreid", "vit_jax", "clip"):
        options = "--to=torch", f"--format={kind}"
        told = convert(tmp_path / "ours", tmp_path / "x.pth", *options, code=2)
        assert f"names of {kind}; --format can be transreid or timm" in told
    convert(tmp_path / "ours", tmp_path / "x.pth", "--to=torch", "--format=timm")
    state = torch.load(tmp_path / "x.pth", weights_only=True)
    assert {"blocks.1.mlp.fc2.bias", "norm.weight"} < state.keys()
    assert not any(name.startswith("b1") for name in state)


def test_clip_reid_over_another_encoder_has_no_names_in_torch(torch, convert, tmp_path):
    save_weights(tmp_path / "ours", toy_weights(family="clipreid"))
    for options in ((), ("--format=clipreid",)):
        told = convert(tmp_path / "ours", tmp_path / "x.pth", "--to=torch", *options, code=2)
        assert "'clipreid' (variant 'mu') cannot be written" in told
        assert told.rstrip().endswith("--format can be timm")
    convert(tmp_path / "ours", tmp_path / "x.pth", "--to=torch", "--format=timm")
    assert "patch_embed.proj.bias" in torch.load(tmp_path / "x.pth", weights_only=True)


FAMILIES = [name for name in SPECS if " " not in name]
ENDS = {"transreid": ("last", "jigsaw_last"), "clipreid": ("last",)}


@pytest.mark.parametrize("target", FAMILIES)
@pytest.mark.parametrize("source", FAMILIES)
def test_any_family_starts_from_any_other_with_its_variant(source, target):
    size = {"variant": "pass_nano8", "stride": 8} if "pass" in (source, target) else {}
    saved = toy_weights(family=source, **size)
    fresh = toy_weights(family=target, num_classes=9, **size)
    found, kept_fresh = start_from(saved, fresh.variables, fresh.spec)
    found, ours, theirs = (
        flatten_dict(x, sep="/") for x in (found, fresh.variables, saved.variables)
    )
    assert found.keys() == ours.keys()
    first = "params/backbone/blocks_0/mlp/fc1/kernel"
    np.testing.assert_array_equal(found[first], theirs[first])
    for module in ENDS.get(target, ()) if source != target else ():
        of_target = found[f"params/{module}/block/mlp/fc1/kernel"]
        np.testing.assert_array_equal(of_target, theirs[last_kernel(source)])
    heads = {path.split("/")[1] for path in ours} - {"backbone", *ENDS.get(target, ())}
    classifiers = {head for head in heads if "classifier" in head}
    assert kept_fresh == (classifiers if source == target else heads)


def last_kernel(family):
    block = "params/last/block" if family in ENDS else "params/backbone/blocks_1"
    return f"{block}/mlp/fc1/kernel"
