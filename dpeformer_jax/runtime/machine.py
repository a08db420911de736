"""What a process runs on, and with which versions."""

import os
import platform
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax

PACKAGES = (
    "dpeformer_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "Pillow",
)


def machine() -> str:
    """Names the devices that JAX computes on, and the host's processor."""
    devices = Counter(device.device_kind for device in jax.devices())
    told = ", ".join(f"{count} x {kind}" for kind, count in devices.items())
    return f"{told}; host: {os.cpu_count()} x {processor()}"


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Returns the version of Python and of each package that is there: what results depend on."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # as where the sources are used without being installed
            continue
    return found


def processor() -> str:
    """Returns the processor's name from Linux, elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
