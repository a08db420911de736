"""Runs timm's Vision Transformer in torch, the peer that the benchmarks compare with.

The peer is the backbone alone, while this program also computes the rest of DPEFormer. It runs in a
process of its own, which measures on demand: beside torch in one process, a step of ours on a CPU
took a quarter longer.
"""

import contextlib
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax

from benchmarks.measure import Program, Timing
from benchmarks.setting import Setting

ROOT = Path(__file__).parents[1]
LEARNING_RATE = 1e-4


class Peer:
    """One of KINDS at a setting, in a process that ends with this object."""

    def __init__(self, kind: str, setting: Setting):
        """Starts the process on the kind of device that JAX uses."""
        device = "cuda" if jax.default_backend() == "gpu" else "cpu"
        command = [sys.executable, "-m", "benchmarks.peers", kind, device]
        self._process = subprocess.Popen(
            [*command, json.dumps(dataclasses.asdict(setting))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, calls: int = 1) -> float:
        """Returns the seconds of one call; makes that many calls and waits for the last."""
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline()
        if not told:
            raise RuntimeError("the peer's process ended; its error stands above")
        return float(told)


def peer(kind: str, setting: Setting) -> Peer | None:
    """Returns the peer, or None where a comparison is not possible or not fair.

    The peer needs torch and timm, and a single device that JAX and torch both use. In bfloat16 it
    is compared on GPUs alone, since torch's autocast is slow on a CPU.
    """
    on_gpu = jax.default_backend() == "gpu"
    installed = find_spec("torch") and find_spec("timm") and jax.device_count() == 1
    fitting = on_gpu or (jax.default_backend() == "cpu" and setting.dtype == "float32")
    return Peer(kind, setting) if installed and fitting else None


def comparison(name: str, timing: Timing, amount: float) -> dict[str, Any] | None:
    """Returns the peer's part of a line: a rate, where a call does that amount."""
    if timing.second is None:
        return None
    return {"name": name, "value": amount / timing.second, "ratio": timing.ratio}


def inference(setting: Setting, device: str) -> Program:
    """Returns a program that computes the tokens of uint8 images [B, H, W, 3] in host memory."""
    import torch

    features = _features(_vit(setting, device).eval(), device)
    images = torch.randint(0, 256, (setting.batch_size, *setting.image_size, 3), dtype=torch.uint8)

    @torch.inference_mode()
    def run() -> Any:
        batch = images.to(device).permute(0, 3, 1, 2)
        with _precision(setting, device):
            return features(batch.float() / 127.5 - 1)

    return Program(run, _wait)


def training(setting: Setting, device: str) -> Program:
    """Returns a training step on 2 B images, as a step of ours sees two views of B images.

    The loss is the mean square of the tokens, the optimiser the published recipe's SGD.
    """
    import torch

    model = _vit(setting, device).train()
    features = _features(model, device)
    images = torch.rand(2 * setting.batch_size, 3, *setting.image_size, device=device) * 2 - 1
    sgd = torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=1e-4)

    def run() -> Any:
        with _precision(setting, device):
            loss = features(images).float().square().mean()
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        return loss

    return Program(run, _wait)


KINDS = {"inference": inference, "training": training}


def _vit(setting: Setting, device: str) -> Any:
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
    ).to(device)


def _features(model: Any, device: str) -> Callable[[Any], Any]:
    import torch

    return torch.compile(model.forward_features) if device == "cuda" else model.forward_features


def _precision(setting: Setting, device: str) -> contextlib.AbstractContextManager:
    import torch

    if setting.dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device, torch.bfloat16)


def _wait(_: Any) -> None:
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def main() -> None:
    """Reads numbers of calls, a line each, and answers with the seconds of one call."""
    kind, device, fields = sys.argv[1:]
    fields = json.loads(fields)
    setting = Setting(**fields | {"image_size": tuple(fields["image_size"])})
    program = KINDS[kind](setting, device)
    for calls in sys.stdin:
        print(program.seconds(int(calls)), flush=True)


if __name__ == "__main__":
    main()
