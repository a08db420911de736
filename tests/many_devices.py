"""What a process of its own must be told to see several devices, which are threads of the CPU."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]


def environment_with(devices: int) -> dict[str, str]:
    """Returns this process's environment, with that many devices and the same quick compiler."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    return os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags}
