"""DPEFormer for occluded person re-identification (arXiv 2402.10435), in JAX and Flax."""

from dpeformer_jax.extractor import Extractor

__all__ = ["Extractor"]
