"""What a compiled program sends between devices, and what it asks of the host."""

import re
from collections import defaultdict
from typing import Any

KINDS = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
BITS = {"pred": 8, "bf16": 16, "f16": 16, "f32": 32, "f64": 64}
# An instruction: its result, its name, and "-start" where it runs beside others.
INSTRUCTION = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(-start)?\(")
ARRAY = re.compile(r"\b([a-z]+[0-9]*[a-z0-9]*)\[([0-9,]*)\]")
TO_HOST = re.compile(r"is_host_transfer=true|\b(?:infeed|outfeed)\(|_callback|MoveToHost")


def collectives_of(hlo: str) -> list[dict[str, Any]]:
    """Returns the kinds of exchanges: kind, dtype, count, and MiB of their results on a device.

    hlo: text of a compiled program. Of an exchange that starts and ends, the start counts once.
    """
    counts: dict[tuple[str, str], int] = defaultdict(int)
    sizes: dict[tuple[str, str], float] = defaultdict(float)
    for line in hlo.splitlines():
        found = INSTRUCTION.search(line)
        if found is None:
            continue
        result, kind, started = found.groups()
        arrays = ARRAY.findall(result)
        if started and kind in ("all-gather", "collective-permute"):
            arrays = arrays[len(arrays) // 2 :]  # operands, then results
        for dtype in {dtype for dtype, _ in arrays}:
            counts[kind, dtype] += 1
        for dtype, shape in arrays:
            sizes[kind, dtype] += _bytes(dtype, shape) / 2**20
    return [
        {"kind": kind, "dtype": dtype, "count": count, "mib": round(sizes[kind, dtype], 2)}
        for (kind, dtype), count in sorted(counts.items())
    ]


def asks_the_host(hlo: str) -> bool:
    """Tells whether a program waits for the host while it runs."""
    return TO_HOST.search(hlo) is not None


def _bytes(dtype: str, shape: str) -> float:
    bits = BITS.get(dtype) or int(re.sub(r"\D", "", dtype) or 32)
    size = 1
    for side in filter(None, shape.split(",")):
        size *= int(side)
    return size * bits / 8
