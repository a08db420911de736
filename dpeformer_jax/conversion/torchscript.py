"""Reads the arrays of a TorchScript archive as data: neither torch nor the archive's code is run.

OpenAI publishes CLIP in this form. torch itself would compile the code in it. The archive is a zip
with a pickle of nested modules and a file for each storage of numbers. Only what such a pickle
needs is known here; a pickle that names anything else is refused before it is read.
"""

import collections
import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dpeformer_jax.base.errors import UserError

MARK = "constants.pkl"  # which an archive has and a state_dict has not
STORAGES = {
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "DoubleStorage": np.float64,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
# Functions around an attribute's value, as which the first argument counts.
ATTRIBUTES = {
    "restore_type_tag",
    *(f"build_{kind}list" for kind in ("int", "double", "bool", "tensor")),
}
# Ways of a pickle to name what it calls that are not the plain GLOBAL.
INDIRECT = {"STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"}


class Module:
    """A module of the archive: its attributes, of which arrays and further modules count."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def is_torchscript(source: Path) -> bool:
    """Tells whether a file is a TorchScript archive, and whole enough to list its content."""
    try:
        with zipfile.ZipFile(source) as archive:
            return any(Path(name).name == MARK for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def read(source: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an archive by name.

    Raises UserError where the archive is damaged, or its pickle names what no module needs.
    """
    damaged = f"{source} is a damaged TorchScript archive"
    with zipfile.ZipFile(source) as archive:
        root = next(n for n in archive.namelist() if Path(n).name == MARK).removesuffix(MARK)
        try:
            pickled = archive.read(f"{root}data.pkl")
            pickles = [pickled, archive.read(f"{root}{MARK}")]
            unknown = [x for each in pickles for x in _named(each) if not _known(*x)]
        except (KeyError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(f"{damaged}: {error}") from error
        if unknown:
            raise UserError(
                f"{source} holds {'.'.join(unknown[0])}, which could run code when loaded; it was "
                "refused unread. Save plain weights, from a program that you trust"
            )
        try:
            return dict(_arrays(_Unpickler(io.BytesIO(pickled), archive, root).load()))
        except Exception as error:  # a damaged pickle raises nearly anything
            raise UserError(f"{damaged}: {error}") from error


def _named(pickled: bytes) -> Iterator[tuple[str, str]]:
    """Yields (module, name) of all that a pickle names, without unpickling it."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            module, name = argument.split(" ", 1)
            yield module, name
        elif opcode.name in INDIRECT:
            yield "the opcode", opcode.name


def _known(module: str, name: str) -> bool:
    return (
        module.split(".")[0] == "__torch__"
        or (module, name) == ("collections", "OrderedDict")
        or (module, name) == ("torch._utils", "_rebuild_tensor_v2")
        or module == "torch"
        and name in STORAGES
        or module == "torch.jit._pickle"
        and name in ATTRIBUTES
    )


class _Unpickler(pickle.Unpickler):
    """Knows the names that `_known` lets pass, and nothing else."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, root: str):
        super().__init__(file)
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if not _known(module, name):
            raise pickle.UnpicklingError(f"{module}.{name} is not known")
        if module == "torch":
            return STORAGES[name]
        if module == "collections":
            return collections.OrderedDict
        # New ones each time, for a pickle may set attributes of what it names.
        return {
            "torch._utils": lambda *told: _tensor(*told),
            "torch.jit._pickle": lambda value, *_: value,
        }.get(module, type(name, (Module,), {}))

    def persistent_load(self, told: tuple) -> np.ndarray:
        _, dtype, key, _, count = told
        stored = self._archive.read(f"{self._root}data/{key}")
        return np.frombuffer(stored, np.dtype(dtype).newbyteorder("<"), count)


def _tensor(storage: np.ndarray, offset: int, shape: tuple, strides: tuple, *_: Any) -> np.ndarray:
    """Returns the array that lies in a storage, a copy of its own."""
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides), default=0) < 0 or math.prod(shape) and last >= len(storage):
        raise ValueError(f"a tensor of shape {shape} reaches outside its storage")
    steps = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()


def _arrays(module: Any, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for name, value in vars(module).items():
        if isinstance(value, Module):
            yield from _arrays(value, f"{prefix}{name}.")
        elif isinstance(value, np.ndarray):
            yield f"{prefix}{name}", value
