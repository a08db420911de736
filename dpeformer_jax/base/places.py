"""Where things lie: on disk, or in an object store."""

from pathlib import Path


def is_url(where: str | Path) -> bool:
    """Tells a place in an object store, such as s3://bucket/folder, from one on disk."""
    return "://" in str(where)
