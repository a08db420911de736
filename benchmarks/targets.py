"""Devices that a program can be compiled for without having one."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh

from dpeformer_jax.base.errors import UserError
from dpeformer_jax.runtime.devices import AXIS

# One H100 SXM of 80 GB, in the words that XLA asks for (GpuTargetConfigProto). Multiprocessors,
# clock, memory, its bandwidth and the caches: NVIDIA H100 Tensor Core GPU Architecture (white
# paper, 2022), tables 3 and 4; limits of blocks, threads and registers: CUDA C++ Programming Guide,
# compute capability 9.0.
H100 = {
    "gpu_device_info": {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 48 * 1024,
        "shared_memory_per_block_optin": 227 * 1024,
        "shared_memory_per_core": 228 * 1024,
        "threads_per_core_limit": 2048,
        "core_count": 132,
        "fpus_per_core": 128,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 2**16 - 1,
        "block_dim_limit_z": 2**16 - 1,
        "memory_bandwidth": 3_350_000_000_000,
        "l2_cache_size": 50 * 2**20,
        "clock_rate_ghz": 1.98,
        "device_memory_size": 80 * 10**9,
        "registers_per_core_limit": 65536,
        "registers_per_block_limit": 65536,
        "cuda_compute_capability": {"major": 9, "minor": 0},
    },
    "platform_name": "CUDA",
    "dnn_version_info": {"major": 9, "minor": 12},
    "device_description_str": "NVIDIA H100 80GB HBM3",
}
TPU_SHAPES = ("v5e:1x1", "v5e:2x2", "v6e:2x2", "v5p:2x2x1")


@dataclasses.dataclass(frozen=True)
class Target:
    """Devices of one kind.

    name: as "tpu v5e:2x2" or "h100 4"; platform: "tpu" or "cuda"; shape: of the TPU's slice, or
    "1x1xN" for N GPUs; description: of the GPU, GpuTargetConfigProto as text.
    """

    name: str
    platform: str
    shape: str
    description: str = ""

    def mesh(self) -> Mesh:
        """Returns the devices along one axis, as training has them.

        Raises:
            UserError: the package that compiles for them is missing.
        """
        try:
            devices = self._topology().devices
        except (jax.errors.JaxRuntimeError, RuntimeError, ValueError, KeyError) as error:
            extra = {"tpu": "aot-tpu", "cuda": "aot-cuda"}[self.platform]
            raise UserError(
                f"{self.name}: nothing here compiles for it ({str(error).splitlines()[0]}); "
                f"pip install -e '.[{extra}]'"
            ) from error
        return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))

    def _topology(self) -> topologies.TopologyDescription:
        if self.platform == "cuda":
            fields = {"target_config": self.description, "topology": self.shape}
            return topologies.get_topology_desc(platform="cuda", **fields)
        # libtpu takes a slice for part of a host of 2 x 2 chips unless it is told otherwise.
        alone = {"chips_per_host_bounds": (1, 1, 1)} if self.shape.endswith(":1x1") else {}
        return topologies.get_topology_desc(self.shape, "tpu", **alone)


def target_named(name: str, description: Path | None = None) -> Target:
    """Returns a target: "tpu SHAPE", "h100 N", or "gpu N" of the GPU that a file describes.

    Raises:
        UserError: the name is none of these.
    """
    kind, _, rest = name.partition(" ")
    if kind == "tpu" and rest:
        return Target(name, "tpu", rest)
    if kind in ("h100", "gpu") and rest.isdecimal() and int(rest):
        if kind == "gpu" and description is None:
            raise UserError(f"--target='{name}' needs --description=FILE (GpuTargetConfigProto)")
        told = text_of(H100) if kind == "h100" else description.read_text()
        return Target(name, "cuda", f"1x1x{rest}", told)
    raise UserError(
        f"--target={name!r} must be 'tpu SHAPE' as {', '.join(TPU_SHAPES)}, 'h100 N' for N GPUs, "
        "or 'gpu N' with --description"
    )


def text_of(fields: dict) -> str:
    """Writes a protocol buffer's fields in its text form."""
    lines = []
    for name, value in fields.items():
        if isinstance(value, dict):
            lines.append(f"{name} {{ {text_of(value)} }}")
        else:
            lines.append(f'{name}: "{value}"' if isinstance(value, str) else f"{name}: {value}")
    return " ".join(lines)
