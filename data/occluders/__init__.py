"""Reads cut-outs for the realistic occlusion augmentation and makes banks: docs/occluders.md."""

from .bank import DRAWN, TALL, load_cutouts

__all__ = ["DRAWN", "TALL", "load_cutouts"]
