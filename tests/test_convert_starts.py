"""Backbones of other kinds come in: CLIP's, DINO's, MAE's, DINOv2's, PASS's. Real files."""

import copy
import os
import pickle
import warnings
import zipfile

import jax
import numpy as np
import pytest
from converting import our_tokens, timm_tokens
from flax.traverse_util import flatten_dict, unflatten_dict
from toy import toy_spec, toy_variables

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.checkpoint.pretrained import plain_backbone, start_from
from dpeformer_jax.checkpoint.weights import load_weights
from dpeformer_jax.conversion import torchscript


@pytest.fixture(scope="module")
def clip(torch, open_clip):
    """open_clip's own CLIP of the size "clip_nano8"."""
    torch.manual_seed(0)
    of = open_clip.model
    image = of.CLIPVisionCfg(layers=2, width=64, head_width=16, patch_size=8, image_size=64)
    text = of.CLIPTextCfg(context_length=8, vocab_size=50, width=32, heads=2, layers=1)
    return of.CLIP(24, image, text, quick_gelu=True).eval()


@pytest.fixture(scope="module")
def archive(torch, clip, tmp_path_factory):
    """CLIP as OpenAI publishes it, a TorchScript archive in half precision, and the network."""
    network, path = copy.deepcopy(clip).half(), tmp_path_factory.mktemp("clip") / "clip.pt"
    example = torch.zeros(1, 3, 64, 64).half(), torch.zeros(1, 8, dtype=torch.long)
    with warnings.catch_warnings(action="ignore"):  # of what torch calls outdated
        torch.jit.trace(network, example, strict=False, check_trace=False).save(path)
    return path, network.float()


def images_of(size):
    shape = (2, size, size, 3)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def clip_embeddings(weights, images):
    """Of the class token, in the space that CLIP's texts share."""
    flat = flatten_dict(weights.variables, sep="/")
    params = unflatten_dict(plain_backbone(flat, weights.spec), sep="/")["params"]["backbone"]
    tokens = our_tokens(params, weights.spec.variant, images)
    return tokens[:, 0] @ flat["params/projection/kernel"]


def encoded(network, torch, images):
    with torch.inference_mode():
        return network.encode_image(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()


@pytest.mark.slow
def test_openais_archive_gives_clips_embeddings(torch, archive, convert, tmp_path):
    source, network = archive
    told = convert(source, tmp_path / "ours", "--verify")
    assert told.startswith("clip: clip_nano8, images 64x64") and "largest difference" in told
    for name in ("token_embedding", "transformer", "text_projection", "logit_scale"):
        assert f"unused: {name}" in told
    weights, images = load_weights(tmp_path / "ours"), images_of(64)
    assert not weights.complete and weights.spec.projection == 24
    expected = encoded(network, torch, images)
    np.testing.assert_allclose(clip_embeddings(weights, images), expected, atol=5e-5)
    convert(tmp_path / "ours", tmp_path / "back.pth", "--to=torch")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert len(back) == 32
    for name, x in network.state_dict().items():
        if name.startswith("visual."):
            np.testing.assert_array_equal(back[name], x, err_msg=name)


def test_what_no_array_shows_is_chosen_by_the_variant(torch, clip, convert, tmp_path):
    from safetensors.torch import save_file

    images, source = images_of(64), tmp_path / "x.safetensors"
    save_file({name: x.contiguous() for name, x in clip.state_dict().items()}, source)
    told = convert(source, tmp_path / "ours", code=2)  # open_clip's usual GELU is the exact one
    assert "is no variant known here; it looks like 'clip_nano8'" in told
    wrong = convert(source, tmp_path / "ours", "--variant=nano8", code=2)
    assert "--variant=nano8 has width 64, depth 2, patch 8; the file's backbone has" in wrong
    assert "a norm before the blocks" in wrong
    told = convert(source, tmp_path / "ours", "--variant=clip_nano8")
    assert told.startswith("open_clip: clip_nano8")
    found = clip_embeddings(load_weights(tmp_path / "ours"), images)
    np.testing.assert_allclose(found, encoded(clip, torch, images), atol=5e-5)


def test_clip_starts_clip_reid_with_its_projection_and_any_other_without(
    torch, archive, convert, tmp_path
):
    convert(archive[0], tmp_path / "ours")
    weights = load_weights(tmp_path / "ours")
    for family, kept in (("clipreid", True), ("baseline", False), ("transreid", False)):
        spec = toy_spec(family=family, variant="clip_nano8", stride=8, projection=24)
        found, fresh = start_from(weights, toy_variables(spec), spec)
        assert ("projection" in found["params"]) == kept
        assert {"neck", "classifier"} <= fresh and "backbone" not in fresh
    spec = toy_spec(family="clipreid", variant="clip_nano8", stride=8, projection=16)
    with pytest.raises(UserError, match="projection/kernel: expected .64, 16., found .64, 24."):
        start_from(weights, toy_variables(spec), spec)


def replaced(source, target, name, content):
    """A copy of a zip with another content of the file that ends like this; None drops it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            if not member.endswith(name):
                new.writestr(member, old.read(member))
            elif content is not None:
                new.writestr(member, content)
    return target


class RunsCode:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_an_archive_that_could_run_code_is_refused_unread(archive, convert, tmp_path, monkeypatch):
    def read(*_):
        raise AssertionError("it was unpickled")

    monkeypatch.setattr(torchscript._Unpickler, "load", read)
    for protocol in (2, 4):  # which name what they call in different ways
        attack = pickle.dumps(RunsCode(tmp_path / "ran"), protocol)
        source = replaced(archive[0], tmp_path / f"{protocol}.pt", "/data.pkl", attack)
        assert "refused unread" in convert(source, tmp_path / "out", code=2)
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [b"torch._utils\n_rebuild_tensor_v2", b"__torch__\nNetwork"])
def test_an_archive_leaves_no_attribute_behind(archive, convert, tmp_path, name):
    """A pickle can set attributes of what it names; the names are its own for the time."""
    attack = b"\x80\x02c" + name + b"\nN}U\x06markedK\x01s\x86b."
    source = replaced(archive[0], tmp_path / "x.pt", "/data.pkl", attack)
    convert(source, tmp_path / "out", code=2)
    assert not hasattr(torchscript._tensor, "marked") and not hasattr(torchscript.Module, "marked")


def test_the_code_in_an_archive_is_never_run(archive, convert, tmp_path):
    """torch would compile it; even what is no program at all is not looked at."""
    with zipfile.ZipFile(archive[0]) as file:
        assert any("/code/" in name for name in file.namelist())
    source = replaced(archive[0], tmp_path / "x.pt", ".py", "import os; os.abort()")
    convert(archive[0], tmp_path / "a")
    convert(source, tmp_path / "b")
    ours, others = (load_weights(tmp_path / name).variables for name in "ab")
    jax.tree.map(np.testing.assert_array_equal, ours, others)


@pytest.mark.parametrize("damage", ["/data/0", "/data.pkl", "short storage", "short pickle"])
def test_a_damaged_archive_is_refused(archive, convert, tmp_path, damage):
    name = {"short storage": "/data/0", "short pickle": "/data.pkl"}.get(damage, damage)
    with zipfile.ZipFile(archive[0]) as file:
        (whole,) = (file.read(member) for member in file.namelist() if member.endswith(name))
    content = whole[: len(whole) // 2] if "short" in damage else None
    source = replaced(archive[0], tmp_path / "x.pt", name, content)
    assert "damaged TorchScript archive" in convert(source, tmp_path / "out", code=2)


def timm_of(timm, **fields):
    """timm's own network of the size of "nano8"."""
    sizes = {"embed_dim": 64, "depth": 2, "num_heads": 4, "num_classes": 10}
    return timm.models.vision_transformer.VisionTransformer(64, 8, **sizes | fields).eval()


def state_of(network):
    return {name: x.detach().numpy() for name, x in network.state_dict().items()}


def assert_same_tokens(torch, network, folder, images):
    weights = load_weights(folder)
    params = weights.variables["params"]["backbone"]
    found = our_tokens(params, weights.spec.variant, images)
    np.testing.assert_allclose(found, timm_tokens(network, torch, images), atol=5e-5)


@pytest.mark.parametrize("file", ["dino", "mae"])
def test_self_supervised_backbones_come_out_of_their_files(torch, timm, convert, tmp_path, file):
    torch.manual_seed(1)
    network, source = timm_of(timm), tmp_path / "source.pth"
    state = {name: x for name, x in network.state_dict().items() if "head" not in name}
    if file == "dino":  # as its own program and TransReID-SSL save the teacher
        named = {f"module.backbone.{name}": x for name, x in state.items()}
        heads = {
            "module.head.mlp.0.weight": torch.ones(3),
            "module.head.last_layer.g": torch.ones(2),
        }
        torch.save({"student": {}, "teacher": named | heads, "epoch": 3}, source)
        unused = ("head.mlp", "head.last_layer")
    else:
        decoder = ("mask_token", "decoder_embed.weight", "decoder_blocks.0.norm1.weight")
        torch.save({"model": state | dict.fromkeys(decoder, torch.ones(3))}, source)
        unused = ("mask_token", "decoder_embed", "decoder_blocks")
    told = convert(source, tmp_path / "ours")
    assert told.startswith("timm: nano8") and all(f"unused: {name}" in told for name in unused)
    assert_same_tokens(torch, network, tmp_path / "ours", images_of(64))


def test_a_backbone_with_part_tokens_is_timms_with_registers(torch, timm, save, convert, tmp_path):
    torch.manual_seed(2)
    network = timm_of(timm, reg_tokens=3, num_classes=0)
    state = state_of(network)
    registers, positions = state.pop("reg_token"), state.pop("pos_embed")
    state |= {"pos_embed": positions[:, 4:], "cls_pos": positions[:, :1]}
    for part in range(3):
        state[f"part_token{part + 1}"] = registers[:, part : part + 1]
        state[f"part{part + 1}_pos"] = positions[:, part + 1 : part + 2]
    told = convert(save(state), tmp_path / "ours", "--verify")
    assert told.startswith("pass: pass_nano8")
    assert_same_tokens(torch, network, tmp_path / "ours", images_of(64))
    spec = toy_spec(family="pass", variant="pass_nano8", stride=8)
    _, fresh = start_from(load_weights(tmp_path / "ours"), toy_variables(spec), spec)
    assert fresh == {"neck", "classifier"}


def test_networks_with_parts_that_ours_lack_are_refused(torch, timm, save, convert, tmp_path):
    state = state_of(timm_of(timm, num_classes=0))
    registers = save(state | {"register_tokens": np.ones((1, 4, 64), np.float32)}, "registers.pth")
    assert "+register_tokens" in convert(registers, tmp_path / "out", code=2)
    stem = {f"patch_embed.conv.0.{x}" if "patch" in x else x: y for x, y in state.items()}
    assert "no known format" in convert(save(stem, "stem.pth"), tmp_path / "out", code=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variant", "options"),
    [
        ("vit_base_patch16_clip_224", "openclip_b16", ()),
        ("vit_base_patch16_clip_quickgelu_224", "clip_b16", ("--variant=clip_b16",)),
        ("vit_base_patch14_dinov2", "dinov2_b14", ()),
        ("vit_small_patch16_224.dino", "s16", ()),
    ],
)
def test_timms_networks_give_timms_tokens(torch, timm, convert, tmp_path, name, variant, options):
    torch.manual_seed(0)
    size = 126 if "dinov2" in name else 224
    network = timm.create_model(name, pretrained=False, img_size=size).eval()
    if variant.startswith("dinov2"):  # LayerScale starts so small that it hides the blocks
        for block in network.blocks:
            torch.nn.init.uniform_(block.ls1.gamma, 0.5, 1.5)
            torch.nn.init.uniform_(block.ls2.gamma, 0.5, 1.5)
    torch.save(network.state_dict(), tmp_path / "source.pth")
    told = convert(tmp_path / "source.pth", tmp_path / "ours", *options)
    assert f"timm: {variant}, images {size}x{size}" in told
    assert_same_tokens(torch, network, tmp_path / "ours", images_of(size))


@pytest.mark.slow
def test_open_clips_network_gives_its_embeddings(torch, open_clip, convert, tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network, source = open_clip.create_model("ViT-B-16").eval(), tmp_path / "x.safetensors"
    save_file({name: x.contiguous() for name, x in network.state_dict().items()}, source)
    told = convert(source, tmp_path / "ours")
    assert told.startswith("open_clip: openclip_b16, images 224x224")
    found = clip_embeddings(load_weights(tmp_path / "ours"), images_of(224))
    np.testing.assert_allclose(found, encoded(network, torch, images_of(224)), atol=5e-5)


@pytest.mark.slow
def test_dinov2_starts_a_network_of_people(torch, timm, convert, tmp_path):
    """Square positions are resized to pictures of people, in patches of 14 pixels."""
    network = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=126)
    torch.save(network.state_dict() | {"mask_token": torch.ones(1, 384)}, tmp_path / "source.pth")
    assert "unused: mask_token" in convert(tmp_path / "source.pth", tmp_path / "ours")
    weights = load_weights(tmp_path / "ours")
    spec = toy_spec((252, 126), family="baseline", variant="dinov2_s14", stride=14)
    found, fresh = start_from(weights, toy_variables(spec), spec)
    assert spec.grid == (18, 9) and fresh == {"neck", "classifier"}
    assert found["params"]["backbone"]["pos_embed"].shape == (1, 1 + 18 * 9, 384)
