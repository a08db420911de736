"""Compares the backbone alone, and timm's backbone whose checkpoint starts ours."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from dpeformer_jax.checkpoint.pretrained import start_from
from dpeformer_jax.checkpoint.weights import Weights
from dpeformer_jax.model.families import shapes_of
from dpeformer_jax.model.variants import VARIANTS
from dpeformer_jax.model.vit import VisionTransformer
from tests.parity import released
from tests.parity.comparison import Quantity, Rows

SQUARE = {"image_size": (224, 224)}  # timm's network
HEAD = {"weight": (1000, 768), "bias": (1000,)}  # of timm's network


def backbone() -> list[Quantity]:
    """Compares plain tokens, tokens with side information (SIE), and overlapping patches."""
    rows, images = Rows("backbone.npz"), released.images()
    tokens, captured = _apply(released.backbone(), images, None, 16, 0, layers=True)
    layers = captured["intermediates"]
    _add_tokens(rows, "", "plain", np.asarray(tokens))
    patches = layers["patch_embed"]["__call__"][0].reshape(8, 128, 768)
    rows.add("patch embedding", 5e-5, {"plain_patch_embed_sub": patches[:2, ::8, ::32]})
    blocks = [layers[f"blocks_{i}"]["__call__"][0][:2, ::8, ::32] for i in range(12)]
    rows.add("outputs of the 12 blocks", 1e-4, {"plain_block_sub": np.stack(blocks)})
    cameras = rows.values["sie_camera_ids"]
    tokens = _tokens(released.backbone(sie_rows=8), images, cameras, sie_rows=8)
    _add_tokens(rows, ", SIE", "sie", tokens)
    tokens = _tokens(released.backbone(stride=12), images[:2], stride=12)
    rows.add("tokens, stride 12", 5e-5, {"stride12_tokens": tokens})
    return rows


def timm() -> list[Quantity]:
    """Compares timm's network, and ours when it starts from timm's with another patch grid."""
    square, loaded = Rows("timm_vit224.npz"), Rows("pretrained_load.npz")
    params, images = released.backbone(**SQUARE), released.images()
    tokens = _tokens(params, released.images224())
    square.add("tokens of timm's network", 5e-5, {"tokens": tokens})
    head, bias = (released.rule(f"head.{name}", shape) for name, shape in HEAD.items())
    square.add("logits of timm's network", 5e-5, {"logits": tokens[:, 0] @ head.T + bias})
    tokens = _tokens(_started(params, stride=16), images)
    _add_tokens(loaded, ", timm's checkpoint", "stride16", tokens)
    tokens = _tokens(_started(params, stride=12), images[:2], stride=12)[:1]
    name = "tokens, timm's checkpoint, stride 12"
    loaded.add(name, 5e-5, {"stride12_tokens_image0": tokens})
    return [*square, *loaded]


def _add_tokens(rows: Rows, name: str, prefix: str, tokens: np.ndarray) -> None:
    """Adds rows of tokens [8, 129, 768]; the files hold two images and summaries of all eight."""
    rows.add(f"tokens{name}", 5e-5, {f"{prefix}_tokens": tokens[:2]})
    rows.add(f"tokens{name}, means", 5e-5, {f"{prefix}_token_mean": tokens.mean(axis=2)})
    norms = np.linalg.norm(tokens, axis=2)
    rows.add(f"tokens{name}, lengths", 5e-5, {f"{prefix}_token_norm": norms})


@partial(jax.jit, static_argnames=("stride", "sie_rows", "layers"))
@jax.default_matmul_precision("highest")
def _apply(params, images, cameras, stride: int, sie_rows: int, layers: bool):
    model = VisionTransformer(VARIANTS["b16"], stride, sie_rows=sie_rows)
    return model.apply({"params": params}, images, cameras, capture_intermediates=layers)


def _tokens(
    params: Any,
    images: np.ndarray,
    cameras: np.ndarray | None = None,
    stride: int = 16,
    sie_rows: int = 0,
) -> np.ndarray:
    return np.asarray(_apply(params, images, cameras, stride, sie_rows, layers=False))


def _started(params: Any, stride: int) -> Any:
    """Returns the parameters of our backbone on 256x128 images that starts from timm's `params`."""
    target = released.network(stride=stride)
    shapes = shapes_of(target)
    fresh = {path: jnp.zeros(shape) for path, shape in shapes.items() if "/backbone/" in path}
    source = Weights(
        Path("timm"), released.network(**SQUARE), {"params": {"backbone": params}}, None
    )
    variables, _ = start_from(source, unflatten_dict(fresh, sep="/"), target)
    return variables["params"]["backbone"]
