"""Files that are there whole or not at all, written once however many processes there are."""

import os
from pathlib import Path

from dpeformer_jax.processes import is_first


def write_whole(path: Path, text: str) -> None:
    """Writes under a temporary name and renames, so that a killed process leaves no half file.

    Of several processes, which all have the same to write, the first does.
    """
    if not is_first():
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # or a power cut may leave the new name with nothing in it
    os.replace(partial, path)
