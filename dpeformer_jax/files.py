"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Writes under a temporary name and renames, so that a killed process leaves no half file."""
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    os.replace(partial, path)
