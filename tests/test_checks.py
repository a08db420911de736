"""Impossible configs are refused with the field, both numbers and the mend."""

import pytest

from configs import default, folder, occluded_duke, quickstart
from configs.checks import check
from dpeformer_jax.base.errors import UserError


def changed(**fields):
    config = default.get_config()
    for name, value in fields.items():
        section, field = name.split("__")
        config[section][field] = value
    return config


@pytest.mark.parametrize("module", [default, quickstart, folder, occluded_duke])
def test_the_configs_are_valid(module):
    check(module.get_config(), devices=1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"train__batch_size": 62}, ["train.batch_size = 62", "images_per_identity = 4", "64"]),
        ({"train__batch_size": 4}, ["train.batch_size = 4", "P at least 2", "8"]),
        ({"data__image_size": (250, 128)}, ["(250, 128)", "16", "(240, 128)"]),
        ({"data__image_size": (8, 8)}, ["(8, 8)", "smaller than one patch"]),
        ({"data__image_size": (64,)}, ["image_size", "(height, width)"]),
        ({"model__stride": 17}, ["model.stride = 17", "gaps", "16"]),
        ({"model__min_patches": 129}, ["min_patches = 129", "128 patches", "16 x 8"]),
        ({"model__min_patches": 3}, ["min_patches = 3", "parts = 4"]),
        ({"model__variant": "b17"}, ["model.variant = 'b17'", "'b16'"]),
        ({"optim__lr": -1.0}, ["optim.lr = -1.0", "at least"]),
        ({"model__drop_path": 1.0}, ["model.drop_path = 1.0", "at most 0.99"]),
        ({"eval__rerank_weight": 1.5}, ["eval.rerank_weight = 1.5", "at most 1"]),
        ({"eval__rerank_k2": 0}, ["eval.rerank_k2 = 0", "at least 1"]),
        ({"views__occluders": "/no/such"}, ["views.occluders = '/no/such'", "does not exist"]),
    ],
)
def test_an_impossible_value_is_named_with_its_mend(fields, words):
    with pytest.raises(UserError) as caught:
        check(changed(**fields), devices=1)
    assert all(word in str(caught.value) for word in words), caught.value


def test_cudnn_attention_needs_a_gpu_and_bfloat16():
    config = changed(model__attention="cudnn", model__dtype="bfloat16")
    check(config, devices=1, platform="gpu")
    with pytest.raises(UserError, match="model.attention = 'cudnn' needs .* here are cpu"):
        check(config, devices=1)
    with pytest.raises(UserError, match="here are gpu and 'float32'"):
        check(changed(model__attention="cudnn"), devices=1, platform="gpu")


def test_fused_attention_needs_a_tpu():
    config = changed(model__attention="fused")
    check(config, devices=1, platform="tpu")
    with pytest.raises(UserError, match="'fused' needs a TPU; here is gpu. 'auto' takes"):
        check(config, devices=1, platform="gpu")


def test_batches_must_be_divisible_by_the_devices():
    with pytest.raises(UserError, match="train.batch_size = 64 .* 3 devices .* 72 is"):
        check(default.get_config(), devices=3)
    with pytest.raises(UserError, match="eval.batch_size = 100 .* 8 devices .* 104 is"):
        check(changed(eval__batch_size=100), devices=8)


@pytest.mark.parametrize("devices", [2, 3, 5, 6])
def test_the_batch_that_is_proposed_works(devices):
    with pytest.raises(UserError) as caught:
        check(changed(train__batch_size=7, eval__batch_size=120), devices)
    proposed = int(str(caught.value).split()[-1])
    check(changed(train__batch_size=proposed, eval__batch_size=120), devices)


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(UserError, match="optim.lr = nan"):
        check(changed(optim__lr=float("nan")), devices=1)


def test_a_config_file_cannot_set_an_unknown_field():
    with pytest.raises(AttributeError, match="epochs"):
        default.get_config().train.epoch = 3
