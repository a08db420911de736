"""DPEFormer for occluded person re-identification (arXiv 2402.10435), in JAX and Flax."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpeformer_jax.extractor import Extractor

__all__ = ["Extractor"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Imports the extractor at its first use: rooms that need `base` alone load no JAX."""
    if name == "Extractor":
        from dpeformer_jax.extractor import Extractor

        return Extractor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
