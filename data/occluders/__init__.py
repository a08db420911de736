"""Cut-outs for the realistic occlusion augmentation: where they come from and banks of them.

`python -m data.occluders build` makes a bank; docs/occluders.md tells how.
"""

from .bank import DRAWN, TALL, Cutouts, load_cutouts

__all__ = ["DRAWN", "TALL", "Cutouts", "load_cutouts"]
