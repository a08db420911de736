"""Where a picture may be written."""

from collections.abc import Sequence
from pathlib import Path

from dpeformer_jax.base.errors import UserError


def check_target(target: Path, formats: Sequence[str], flag: str) -> None:
    """Raises UserError where a file exists, or its name ends with none of the formats.

    flag: of the command line, that names the target.
    """
    if target.exists():
        raise UserError(f"{flag}={target} exists already; choose another name")
    if target.suffix.lower() not in formats:
        raise UserError(f"{flag}={target} must be named *{', *'.join(formats)}")
