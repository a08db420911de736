"""timm's Vision Transformer in torch, what the benchmarks compare with where it is installed.

It is the backbone alone: this program's side of a comparison has the rest of DPEFormer to do too.
"""

import contextlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np

from benchmarks.measure import Program, Timing
from benchmarks.setting import Setting

LEARNING_RATE = 1e-4


def inference(setting: Setting, images: np.ndarray) -> Program | None:
    """Tokens of uint8 images [B, H, W, 3] in the host's memory; None without a peer."""
    if not comparable(setting):
        return None
    import torch

    features = _features(setting, _vit(setting).eval())

    @torch.inference_mode()
    def run() -> Any:
        batch = torch.from_numpy(images).to(_device()).permute(0, 3, 1, 2)
        with _precision(setting):
            return features(batch.float() / 127.5 - 1)

    return Program(run, _wait)


def training(setting: Setting) -> Program | None:
    """A step on two images for each of a batch, as a step of ours sees two views; or None.

    The loss is the mean square of the tokens, the optimiser the published recipe's SGD.
    """
    if not comparable(setting):
        return None
    import torch

    model = _vit(setting).train()
    features = _features(setting, model)
    images = torch.rand(2 * setting.batch_size, 3, *setting.image_size, device=_device()) * 2 - 1
    sgd = torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=1e-4)

    def run() -> Any:
        with _precision(setting):
            loss = features(images).float().square().mean()
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        return loss

    return Program(run, _wait)


def comparison(name: str, timing: Timing, amount: float) -> dict[str, Any] | None:
    """The peer's part of a line, as rate of that amount a call."""
    if timing.second is None:
        return None
    return {"name": name, "value": amount / timing.second, "ratio": timing.ratio}


def comparable(setting: Setting) -> bool:
    """Whether torch and timm are there and work on what JAX works on, which is one device.

    On a CPU torch's autocast is no match for anybody: bfloat16 is compared on GPUs.
    """
    if not (find_spec("torch") and find_spec("timm")) or jax.device_count() > 1:
        return False
    if jax.default_backend() == "gpu":
        import torch

        return torch.cuda.is_available()
    return jax.default_backend() == "cpu" and setting.dtype == "float32"


def _device() -> str:
    return "cuda" if jax.default_backend() == "gpu" else "cpu"


def _vit(setting: Setting) -> Any:
    import torch
    from timm.models.vision_transformer import VisionTransformer

    torch.set_float32_matmul_precision("high")  # TensorFloat-32 on GPUs, as XLA by default
    size = setting.backbone
    return VisionTransformer(
        img_size=setting.image_size,
        patch_size=size.patch,
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        num_classes=0,
        drop_path_rate=setting.config.model.drop_path,
    ).to(_device())


def _features(setting: Setting, model: Any) -> Callable[[Any], Any]:
    import torch

    on_gpu = _device() == "cuda"
    return torch.compile(model.forward_features) if on_gpu else model.forward_features


def _precision(setting: Setting) -> contextlib.AbstractContextManager:
    import torch

    if setting.dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(_device(), torch.bfloat16)


def _wait(_: Any) -> None:
    import torch

    if _device() == "cuda":
        torch.cuda.synchronize()
