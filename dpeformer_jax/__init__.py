"""DPEFormer for occluded person re-identification (arXiv 2402.10435), in JAX and Flax."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpeformer_jax.extractor import Extractor
    from dpeformer_jax.retrieval.gallery import Gallery

    load = Extractor.load

__all__ = ["Extractor", "Gallery", "load"]
__version__ = "0.3.0"


def __getattr__(name: str) -> Any:
    """Imports at the first use: rooms that need `base` alone load no JAX."""
    if name in ("Extractor", "load"):
        from dpeformer_jax.extractor import Extractor

        return Extractor if name == "Extractor" else Extractor.load
    if name == "Gallery":
        from dpeformer_jax.retrieval.gallery import Gallery

        return Gallery
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
