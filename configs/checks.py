"""Checks a config before anything is built, so that a mistake costs seconds."""

import math
from pathlib import Path

from ml_collections import ConfigDict

from configs.default import FIELDS
from configs.fields import flatten
from dpeformer_jax.base.errors import UserError
from dpeformer_jax.model.variants import VARIANTS, patch_grid
from dpeformer_jax.training.experiment import ONE_VIEW

ANYWHERE = "'auto' takes what suits the devices"


def check(config: ConfigDict, devices: int, platform: str = "cpu", training: bool = True) -> None:
    """Raises UserError for the first value that cannot work.

    Args:
        config: with all fields of configs/default.py.
        devices: how many will be used.
        platform: what they are, as jax.default_backend() says.
        training: whether what only a training needs is checked too.
    """
    values = flatten(config.to_dict())
    for field in FIELDS:
        field.check(values[field.name])
    _check_patches(config)
    _check_attention(config.model, platform)
    _check_family(config.model)
    if training:
        _check_views(config)
        _check_batches(config, devices)
        _check_microbatches(config, devices)
        _check_folders(config)
    _check_divisible("eval.batch_size", config.eval.batch_size, devices, devices)


def _check_patches(config: ConfigDict) -> None:
    size = config.data.image_size
    if len(size) != 2 or min(size) < 1:
        raise UserError(f"config.data.image_size = {size} must be (height, width) in pixels")
    patch = VARIANTS[config.model.variant].patch
    of_variant = f"(config.model.variant = {config.model.variant!r})"
    stride = config.model.stride
    if stride > patch:
        raise UserError(
            f"config.model.stride = {stride} leaves gaps between patches of {patch} pixels "
            f"{of_variant}; it must be at most that"
        )
    if min(size) < patch:
        raise UserError(
            f"config.data.image_size = {size} is smaller than one patch of {patch} pixels"
        )
    if stride == patch and any(side % patch for side in size):
        fitting = tuple(max(side // patch, 1) * patch for side in size)
        raise UserError(
            f"config.data.image_size = {size} is not divisible by the patch of {patch} pixels "
            f"{of_variant}; {fitting} is"
        )
    rows, columns = patch_grid(size, patch, stride)
    if config.model.family == "dpeformer":
        _check_selection(config, rows, columns)


def _check_selection(config: ConfigDict, rows: int, columns: int) -> None:
    size = config.data.image_size
    if not config.model.parts <= config.model.min_patches <= rows * columns:
        raise UserError(
            f"config.model.min_patches = {config.model.min_patches} must lie between "
            f"config.model.parts = {config.model.parts} and the {rows * columns} patches "
            f"({rows} x {columns}) of an image of {size} pixels"
        )


def _check_family(model: ConfigDict) -> None:
    if model.family == "pass" and VARIANTS[model.variant].special == 1:
        raise UserError(
            f"config.model.variant = {model.variant!r} has no part tokens, which the family 'pass' "
            "takes; 'pass_b16' has"
        )
    if model.pooling == "batch" and model.bands != "similarity":
        raise UserError(
            f"config.model.bands = {model.bands!r} needs config.model.pooling = 'image'; the "
            "released program pools by similarity alone"
        )


def _check_views(config: ConfigDict) -> None:
    alone, loss = config.views.occlusion == ONE_VIEW, config.loss
    if alone and loss.memory_occluded:
        raise UserError(
            f"config.loss.memory_occluded = {loss.memory_occluded} weighs the occluded view, which "
            "config.views.occlusion = 'none' leaves out; set it to 0"
        )
    if config.views.erasing and not alone:
        raise UserError(
            f"config.views.erasing = {config.views.erasing} is for config.views.occlusion = "
            f"'none'; with {config.views.occlusion!r} set it to 0"
        )


def _check_attention(model: ConfigDict, platform: str) -> None:
    if model.attention == "cudnn" and (platform, model.dtype) != ("gpu", "bfloat16"):
        raise UserError(
            "config.model.attention = 'cudnn' needs an NVIDIA GPU and config.model.dtype = "
            f"'bfloat16'; here are {platform} and {model.dtype!r}. {ANYWHERE}"
        )
    if model.attention == "fused" and platform != "tpu":
        raise UserError(
            f"config.model.attention = 'fused' needs a TPU; here is {platform}. {ANYWHERE}"
        )


def _check_batches(config: ConfigDict, devices: int) -> None:
    batch, group = config.train.batch_size, config.train.images_per_identity
    step = math.lcm(group, devices)  # what a training batch must be a multiple of
    if batch % group or batch < 2 * group:
        raise UserError(
            f"config.train.batch_size = {batch} must be P x K with K = "
            f"config.train.images_per_identity = {group} and P at least 2, for example "
            f"{_next_multiple(max(batch, 2 * group), step)}"
        )
    _check_divisible("train.batch_size", batch, devices, step)


def _check_divisible(name: str, value: int, devices: int, multiple: int) -> None:
    if value % devices:
        raise UserError(
            f"config.{name} = {value} is not divisible by the {devices} devices that share it; "
            f"{_next_multiple(value, multiple)} is"
        )


def _check_microbatches(config: ConfigDict, devices: int) -> None:
    batch, pieces = config.train.batch_size, config.train.microbatches
    if batch % (pieces * devices):
        raise UserError(
            f"config.train.microbatches = {pieces} x {devices} devices do not divide "
            f"config.train.batch_size = {batch}"
        )


def _next_multiple(value: int, step: int) -> int:
    return -(-value // step) * step


def _check_folders(config: ConfigDict) -> None:
    occluders = config.views.occluders
    if occluders and not Path(occluders).expanduser().exists():
        raise UserError(
            f"config.views.occluders = {occluders!r} does not exist; expected a bank file, a "
            "folder with <image>/<object>.png cut-outs in it, or '' for drawn occluders"
        )
