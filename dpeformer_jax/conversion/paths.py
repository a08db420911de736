"""Where a conversion writes, what it may replace there, and errors of the system."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from dpeformer_jax.base.atomic_write import atomic_write
from dpeformer_jax.base.errors import UserError

RECORD = "conversion.json"  # marks a folder as an earlier conversion
TORCH_SUFFIXES = (".pth", ".pt", ".safetensors")


@contextlib.contextmanager
def system_errors(path: Path, done: str) -> Iterator[None]:
    """Turns an OSError into a UserError: the path cannot be `done` ("read" or "written")."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be {done}: {error.strerror or error}") from error


@contextlib.contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Yields a temporary path that takes the target's name at the end; makes parent folders."""
    with system_errors(target, "written"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as partial:
            yield partial


def check_target(target: Path, to_torch: bool, overwrite: bool) -> None:
    """Raises UserError where writing there would mislead or destroy something."""
    if (target.suffix in TORCH_SUFFIXES) != to_torch:
        named = f"a file named {' or '.join(TORCH_SUFFIXES)}"
        raise UserError(
            f"--target={target}: --to torch writes {named}, and --to flax writes a folder of "
            "another name"
        )
    with system_errors(target, "written"):
        if not target.exists():
            return
        ours = target.is_file() if to_torch else (target / RECORD).exists()
    if not overwrite:
        raise UserError(f"{target} exists; choose another --target, or add --overwrite")
    if not ours:
        raise UserError(
            f"{target} is not of an earlier conversion, so --overwrite leaves it alone; choose "
            "another --target"
        )
