"""Which files are pictures."""

from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


def is_image(path: Path) -> bool:
    """Tells by its name whether a file is a picture."""
    # macOS leaves "._name.jpg" beside a file, which is no picture.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
