"""Checks a config before anything is built, so that a mistake costs seconds."""

import math
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from dpeformer_jax.errors import ConfigError
from dpeformer_jax.model.vit import ATTENTIONS, VARIANTS, patch_grid

CHOICES = {
    "parallel": ("jit", "pmap"),
    "data.on_bad_image": ("error", "skip"),
    "data.cache": ("auto", "memory", "file", "device", "none"),
    "model.variant": tuple(VARIANTS),
    "model.attention": tuple(ATTENTIONS),
    "model.dtype": ("float32", "bfloat16"),
    "model.global_token": ("class", "first_patch"),
    "model.pooling": ("image", "batch"),
    "model.head_merge": ("image", "batch"),
    "views.second": ("roa", "erasing", "rectangle", "person"),
    "optim.name": ("sgd", "adamw"),
    "train.on_nonfinite": ("stop", "skip"),
}
# field: (smallest, largest) value; None is no bound.
RANGES = {
    "seed": (0, None),
    "distributed.processes": (0, None),
    "distributed.process": (-1, None),
    "data.loader_threads": (1, None),
    "data.loader_processes": (0, None),
    "model.stride": (1, None),
    "model.parts": (1, None),
    "model.drop_path": (0, 0.99),
    "views.padding": (0, None),
    "loss.temperature": (1e-6, None),
    "loss.occluded_memory": (0, None),
    "loss.label_smoothing": (0, 0.99),
    "loss.triplet": (0, None),
    "loss.memory_epsilon": (0, 1e-3),
    "optim.lr": (1e-12, None),
    "optim.bias_lr_factor": (0, None),
    "optim.momentum": (0, 0.9999),
    "optim.weight_decay": (0, None),
    "optim.warmup_epochs": (0, None),
    "train.images_per_identity": (2, None),
    "train.microbatches": (1, None),
    "train.epochs": (1, None),
    "train.checkpoint_every": (1, None),
    "train.checkpoint_every_minutes": (0, None),
    "train.log_every": (1, None),
    "train.trace": (0, None),
    "eval.batch_size": (1, None),
    "eval.rerank_k1": (1, None),
    "eval.rerank_k2": (1, None),
    "eval.rerank_weight": (0, 1),
}


def flatten(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"data": {"root": x}} -> {"data.root": x}."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def validate(config: ConfigDict, devices: int, platform: str = "cpu") -> None:
    """Raises ConfigError for the first value that cannot work.

    devices: how many will be used; platform: what they are, as jax.default_backend() says.
    """
    values = flatten(config.to_dict())
    for name, choices in CHOICES.items():
        value = values[name]
        if value not in choices:
            raise ConfigError(
                f"config.{name} = {value!r} is not one of {', '.join(map(repr, choices))}"
            )
    for name, (low, high) in RANGES.items():
        value = values[name]
        if not (low <= value and (high is None or value <= high)):  # refuses NaN too
            bounds = f"at least {low}" + ("" if high is None else f" and at most {high}")
            raise ConfigError(f"config.{name} = {value} must be {bounds}")
    _check_patches(config)
    _check_attention(config.model, platform)
    _check_batches(config, devices)
    _check_microbatches(config, devices)
    _check_folders(config)


def _check_patches(config: ConfigDict) -> None:
    size = config.data.image_size
    if len(size) != 2 or min(size) < 1:
        raise ConfigError(f"config.data.image_size = {size} must be (height, width) in pixels")
    variant = VARIANTS[config.model.variant]
    stride = config.model.stride
    if stride > variant.patch:
        raise ConfigError(
            f"config.model.stride = {stride} leaves gaps between patches of {variant.patch} "
            f"pixels (config.model.variant = {config.model.variant!r}); it must be at most that"
        )
    if min(size) < variant.patch:
        raise ConfigError(
            f"config.data.image_size = {size} is smaller than one patch of {variant.patch} pixels"
        )
    if stride == variant.patch and any(side % variant.patch for side in size):
        fitting = tuple(max(side // variant.patch, 1) * variant.patch for side in size)
        raise ConfigError(
            f"config.data.image_size = {size} is not divisible by the patch of {variant.patch} "
            f"pixels (config.model.variant = {config.model.variant!r}); {fitting} is"
        )
    rows, columns = patch_grid(size, variant.patch, stride)
    if not config.model.parts <= config.model.min_patches <= rows * columns:
        raise ConfigError(
            f"config.model.min_patches = {config.model.min_patches} must lie between "
            f"config.model.parts = {config.model.parts} and the {rows * columns} patches "
            f"({rows} x {columns}) of an image of {size} pixels"
        )


def _check_attention(model: ConfigDict, platform: str) -> None:
    if model.attention == "cudnn" and (platform, model.dtype) != ("gpu", "bfloat16"):
        raise ConfigError(
            "config.model.attention = 'cudnn' needs an NVIDIA GPU and config.model.dtype = "
            f"'bfloat16'; here are {platform} and {model.dtype!r}. 'xla' works everywhere"
        )


def _check_batches(config: ConfigDict, devices: int) -> None:
    batch, group = config.train.batch_size, config.train.images_per_identity
    step = math.lcm(group, devices)  # what a training batch must be a multiple of
    if batch % group or batch < 2 * group:
        raise ConfigError(
            f"config.train.batch_size = {batch} must be P x K with K = "
            f"config.train.images_per_identity = {group} and P at least 2, for example "
            f"{_next_multiple(max(batch, 2 * group), step)}"
        )
    for name, value, multiple in (
        ("train.batch_size", batch, step),
        ("eval.batch_size", config.eval.batch_size, devices),
    ):
        if value % devices:
            raise ConfigError(
                f"config.{name} = {value} is not divisible by the {devices} devices that share it; "
                f"{_next_multiple(value, multiple)} is"
            )


def _check_microbatches(config: ConfigDict, devices: int) -> None:
    batch, pieces = config.train.batch_size, config.train.microbatches
    if batch % (pieces * devices):
        raise ConfigError(
            f"config.train.microbatches = {pieces} x {devices} devices do not divide "
            f"config.train.batch_size = {batch}"
        )


def _next_multiple(value: int, step: int) -> int:
    return -(-value // step) * step


def _check_folders(config: ConfigDict) -> None:
    occluders = config.views.occluders
    if occluders and not Path(occluders).expanduser().exists():
        raise ConfigError(
            f"config.views.occluders = {occluders!r} does not exist; expected a bank file, a "
            "folder with <image>/<object>.png cut-outs in it, or '' for drawn occluders"
        )
